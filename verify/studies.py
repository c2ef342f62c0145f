"""Verifying a study: its equalities proved again, its statements exact, its price checked.

The three groups are those of :mod:`verify.verification`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sympy import Expr

from derive.chart import NotNormalError
from derive.study import Section, Study
from verify import exact_studies
from verify.folding_price import price_of_folding
from verify.loading import load
from verify.report import Result, skipped
from verify.verification import Progress, from_outcomes

# What has to be measured, by the name of the study; measured on Batch Norm's module.
CHECKED: Mapping[str, tuple[str, Callable[..., list[Result]]]] = {
    "folding": ("the price of folding in float32", price_of_folding),
}


def verify(
    study: Study,
    source: str | None,
    *,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> list[Result]:
    """Every check of a study, in order.

    ``source`` is the text of Batch Norm's generated module, None where there is none.
    """
    progress("proofs")
    results = proved(study)
    progress("exact equalities")
    if study.name in exact_studies.ORACLES:
        results += from_outcomes(exact_studies.check(study, seed=seed))
    else:
        results.append(skipped("exact", study.name, "no oracle is written for this study"))
    if study.name in CHECKED:
        what, measure = CHECKED[study.name]
        progress(what)
        if source is None:
            return [*results, skipped("checked", what, "no kernel is generated for batch_norm yet")]
        results += measure(load(source, "batch_norm"), seed=seed)
    return results


def proved(study: Study) -> list[Result]:
    """The equalities of each section that has any, proved again from their two sides."""
    sections = ((section, list(section.equalities())) for section in study.develop())
    return [_prove(section, pairs) for section, pairs in sections if pairs]


def _prove(section: Section, pairs: list[tuple[Expr, Expr]]) -> Result:
    try:
        wrong = [pair for pair in pairs if not section.proves(*pair)]
        detail = f"{wrong[0][0]} is not {wrong[0][1]}" if wrong else "every step, for every size"
    except NotNormalError as error:
        wrong, detail = pairs, str(error)
    return Result("proved", section.title, detail, len(pairs), None, None, not wrong)
