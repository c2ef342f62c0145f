"""The verdicts on the source documents' formulas as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from sympy import Expr, Mul

from derive.chart import Identity
from derive.closed_form import closed_form
from derive.expr import SumOver, Var, free_axes, mul, substitute
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.render.latex import to_latex
from derive.render.layout import equation, formula
from derive.render.notation_file import PAPER
from derive.render.notation_fit import fitted
from derive.render.text import to_line
from derive.render.tree import Node
from verify.audit.formula import Judgement, Verdict, judge_all
from verify.audit.formula_exact import Example
from verify.audit.subjects import STUDY
from verify.audit.transcriptions import Document, Statement

Printed = Callable[[Node], str]
Judged = tuple[str, Statement, Judgement]  # with the formula's number, such as 000.5

VERDICTS: dict[Verdict, str] = {
    "equal": "both sides have one normal form, for every m: *proved*",
    "equal through an identity": "*proved*, by what a definition implies; it is named",
    "convention": "*proved*, once one symbol is read in another way; it is said how",
    "wrong": "under every reading; numbers are given at which both sides differ",
    "cannot be proved": "none of these",
}

HEAD = """\
# The formulas of the source documents

<!-- Written by `backnorm audit documents --out docs/source_documents.md`: do not edit. -->

Every formula about Batch Norm in the five documents that this project started from, transcribed
(`verify/audit/documents/`) and judged by the tool. The verdicts:

{verdicts}

What was found equal was also compared with separately written definitions, in exact arithmetic at
random points; the number of comparisons is given.

{table}
"""


def judged(documents: Sequence[Document]) -> list[tuple[Document, list[Judged]]]:
    """Every formula of the documents with its number and its verdict."""
    return [
        (document, [(f"{document.number}.{k}", *pair) for k, pair in enumerate(pairs, 1)])
        for document, pairs in ((document, judge_all(document)) for document in documents)
    ]


def page(found: Sequence[tuple[Document, Sequence[Judged]]]) -> str:
    """The page, ending with a line feed."""
    verdicts = "\n".join(f"- **{verdict}**: {says}." for verdict, says in VERDICTS.items())
    sections = [HEAD.format(verdicts=verdicts, table=_table(found))]
    for document, formulas in found:
        sections.append("\n".join(_document(document, formulas)))
    return "\n".join(sections)


def _table(found: Sequence[tuple[Document, Sequence[Judged]]]) -> str:
    shown = [v for v in VERDICTS if any(j.verdict == v for _, all_ in found for *_, j in all_)]
    rows = [f"| document | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    for document, formulas in found:
        counts = Counter(judgement.verdict for *_, judgement in formulas)
        cells = " | ".join(str(counts.get(verdict, 0)) for verdict in shown)
        rows.append(f"| {document.number} | {cells} |")
    rows += ["", "Those that are not simply equal:", ""]
    for _, formulas in found:
        for number, statement, judgement in formulas:
            if judgement.verdict != "equal":
                rows.append(f"- {number}, {statement.place}: {judgement.verdict}")
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
    for number, statement, judgement in formulas:
        yield from _formula(number, statement, judgement)


def _formula(number: str, statement: Statement, judgement: Judgement) -> Iterator[str]:
    yield f"### {number}, {statement.place}\n"
    kind, printed = ("python", statement.code) if statement.code else ("math", statement.latex)
    yield f"```{kind}\n{printed}\n```\n"
    about = "the study" if statement.layer == STUDY else "the layer"
    held = f", with {', '.join(statement.held)} held constant" if statement.held else ""
    apart = ", for two different indices" if statement.apart else ""
    yield f"Read as `{statement.reads}`, {about} `{statement.layer}`{held}{apart}.\n"
    words = evidence(statement, judgement, lambda tree: f"${to_latex(tree)}$")
    yield f"**{judgement.verdict}**. {words}\n"
    if statement.remark:
        yield f"{statement.remark}\n"


# --- Evidence -------------------------------------------------------------------------------------


def as_line(ascii: bool) -> Printed:
    """Formulas in one line of a terminal."""
    return lambda tree: to_line(tree, ascii=ascii)


def evidence(statement: Statement, judgement: Judgement, printed: Printed) -> str:
    """What the verdict rests on, in sentences."""
    return " ".join(_sentences(statement, judgement, printed))


def _sentences(statement: Statement, judgement: Judgement, printed: Printed) -> Iterator[str]:
    if judgement.verdict == "wrong":
        yield from _refutation(statement, judgement, printed)
        return
    if judgement.verdict == "cannot be proved":
        yield "No proof was found, and no numbers that refute it."
        return
    for identity in judgement.identities:
        source = _expr(judgement, identity.source, printed)
        yield f"It takes {_identity(judgement, identity, printed)}, by the definition of {source}."
    if judgement.difference is not None:
        off = _expr(judgement, judgement.difference, printed)
        yield f"Without it the right side would be off by {off}."
    if judgement.convention is not None:
        yield f"Equal if {judgement.convention.says}."
    if judgement.cases:
        yield f"{judgement.cases} exact comparisons agree."
    else:
        yield "No oracle is written for this one."


def _refutation(statement: Statement, judgement: Judgement, printed: Printed) -> Iterator[str]:
    assert judgement.example is not None
    if judgement.convention is not None:
        yield f"It is so even if {judgement.convention.says}."
    if judgement.difference is not None:
        yield f"The right side is off by {_expr(judgement, judgement.difference, printed)}."
    yield _example(judgement.example)
    if judgement.corrected is not None:
        meant = judgement.corrected
        yield f"What can be meant is `{statement.corrected}`: {meant.verdict}."
        yield evidence(statement, meant, printed)


def _example(example: Example) -> str:
    given = [f"{label} = {_values(values)}" for label, values in example.given]
    sizes = [f"{name} = {size}" for name, size in example.sizes]
    where = [f"{name} = {at}" for name, at in example.index]
    place = ", ".join([*sizes, *given, *where])
    return f"At {place} the right side gives {example.got}, and right is {example.expected}."


def _values(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def _identity(judgement: Judgement, identity: Identity, printed: Printed) -> str:
    chart = judgement.subject.chart
    value = closed_form(identity.value, NormalForm(chart))
    sums = [chart.display(identity.total)]
    if value == 0 and chart.normalised is not None:
        sums.append(_written_out(identity.total, chart.normalised, judgement.subject.layer))
    notation = fitted(PAPER, judgement.subject.layer)
    sides = (equation(total, value, notation, judgement.subject.shown) for total in sums)
    return ", or ".join(map(printed, sides))


def _written_out(total: SumOver, normalised: Var, layer: Layer) -> Expr:
    """The sum with the definition of x̂ in it, less the factors that are the same in each term."""
    body = substitute(total.body, {normalised.label: layer[normalised.label]})
    varying = (f for f in Mul.make_args(body) if free_axes(f) & set(total.axes))
    written: Expr = SumOver(mul(*varying), *total.axes)
    return written


def _expr(judgement: Judgement, expr: Expr | Var, printed: Printed) -> str:
    notation = fitted(PAPER, judgement.subject.layer)
    return printed(formula(expr, notation, judgement.subject.shown))
