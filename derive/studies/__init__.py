"""The studies that ship, one file each.  Add a file and a line here."""

from derive.studies import folding, higher_orders, running_statistics, training_and_test
from derive.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        training_and_test.STUDY,
        running_statistics.STUDY,
        folding.STUDY,
        higher_orders.STUDY,
    )
}
