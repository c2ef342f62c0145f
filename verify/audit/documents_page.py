"""The verdicts on the source documents' formulas as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from derive.render.latex import to_latex
from verify.audit.documents import Judged, worst
from verify.audit.evidence import evidence
from verify.audit.formula import Verdict
from verify.audit.subjects import STUDY
from verify.audit.transcriptions import Document

VERDICTS: dict[Verdict, str] = {
    "equal": "both sides have one normal form, for every m: *proved*",
    "equal through an identity": "*proved*, by what a definition implies; it is named",
    "equal under a condition": "*proved*, once a symbol is read in another way; it is said how",
    "not equal": "under every reading; numbers are given at which both sides differ",
    "cannot be proved": "none of these",
}

HEAD = """\
# The formulas of the source documents

<!-- Written by `backnorm audit documents --out docs/source_documents.md`: do not edit. -->

Every formula about Batch Norm in the five documents that this project started from
(`verify/audit/documents/`), audited as `backnorm audit formula` does it: read from its LaTeX or
its code, and held against the derivation. Where it is about whole vectors, or one name stands for
two things, its reading was written by hand. The verdicts:

{verdicts}

What was found equal was also compared with separately written definitions, in exact arithmetic at
random points; the number of comparisons is given.

{table}
"""


def page(found: Sequence[tuple[Document, Sequence[Judged]]]) -> str:
    """The page, ending with a line feed."""
    verdicts = "\n".join(f"- **{verdict}**: {says}." for verdict, says in VERDICTS.items())
    sections = [HEAD.format(verdicts=verdicts, table=_table(found))]
    for document, formulas in found:
        sections.append("\n".join(_document(document, formulas)))
    return "\n".join(sections)


def _table(found: Sequence[tuple[Document, Sequence[Judged]]]) -> str:
    verdicts = {one.number: worst(one) for _, formulas in found for one in formulas}
    shown = [v for v in VERDICTS if v in verdicts.values()]
    rows = [f"| document | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    for document, formulas in found:
        counts = Counter(verdicts[one.number] for one in formulas)
        cells = " | ".join(str(counts.get(verdict, 0)) for verdict in shown)
        rows.append(f"| {document.number} | {cells} |")
    rows += ["", "Those that are not simply equal:", ""]
    for _, formulas in found:
        for one in formulas:
            if verdicts[one.number] != "equal":
                rows.append(f"- {one.number}, {one.statement.place}: {verdicts[one.number]}")
    return "\n".join(rows)


def _document(document: Document, formulas: Sequence[Judged]) -> Iterator[str]:
    yield f"## Document {document.number}: {document.title}\n"
    if document.cleaned:
        yield f"{document.cleaned}\n"
    yield from (f"- {remark}" for remark in document.remarks)
    yield ""
    for layer, names in document.names.items():
        yield f"Its own names, in the quantities of `{layer}`:\n"
        yield from (f"- `{name} = {text}`" for name, text in names.items())
        yield ""
    for one in formulas:
        yield from _formula(one)


def _formula(one: Judged) -> Iterator[str]:
    statement = one.statement
    yield f"### {one.number}, {statement.place}\n"
    kind, printed = ("python", statement.code) if statement.code else ("math", statement.latex)
    yield f"```{kind}\n{printed}\n```\n"
    about = "the study" if statement.layer == STUDY else "the layer"
    held = f", with {', '.join(statement.held)} held constant" if statement.held else ""
    by_hand = " by hand" if statement.reads else ""
    for question, judgement in one.answers:
        yield f"Read{by_hand} as `{question.reads}`, {about} `{statement.layer}`{held}.\n"
        words = " ".join(evidence(judgement, lambda tree: f"${to_latex(tree)}$"))
        yield f"**{judgement.verdict}**. {words}\n"
    if statement.remark:
        yield f"{statement.remark}\n"
