"""Documents: which blocks there are, in which order, for every form."""

from __future__ import annotations

import pytest

from derive.expr import adjoint
from derive.layers import LAYERS
from derive.render import to_line
from derive.render.blocks import Block, Equation, Heading, Words
from derive.render.document import Form
from derive.trace import Result, Step
from tests.derive.render.documents import FORMS, document_of, equations
from tests.derive.statements import derivation_of

TITLES = {
    "staged": ["Definitions", "Staged adjoints"],
    "closed": ["Definitions", "To closed form", "Closed forms"],
    "jacobian": ["Definitions", "Jacobian", "uR", "Facts"],
    "all": [
        *("Definitions", "Staged adjoints", "To closed form"),
        *("Closed forms", "Jacobian", "uR", "Facts"),
    ],
    "summary": ["Definitions", "Closed forms", "uR"],
}
SQUARE = [name for name in LAYERS if derivation_of(name).jacobian is not None]


def titles(blocks: tuple[Block, ...]) -> list[str]:
    return [block.title for block in blocks if isinstance(block, Heading)]


def lines(blocks: tuple[Block, ...]) -> list[str]:
    return [to_line(equation.tree) for equation in equations(blocks)]


def shown_steps(layer: str, wrt: str, form: Form) -> list[Step]:
    """The steps that the document owes its reader, in order."""
    derivation = derivation_of(layer)
    needed = needed_for(layer, wrt)
    steps: list[Step] = []
    if form in ("staged", "all"):
        steps += [step for result in needed for step in result.staging]
    if form != "summary":
        steps += [step for fact in derivation.identities for step in fact.steps]
    if form in ("closed", "all"):
        steps += [step for result in needed for step in result.closing]
    if form in ("jacobian", "all") and wrt in ("", derivation.layer.data.label):
        steps += [step for result in derivation.entries() for step in result.steps]
    return steps


def needed_for(layer: str, wrt: str) -> list[Result]:
    """What the wanted adjoint is made of, found from the adjoints that the steps mention."""
    adjoints = derivation_of(layer).adjoints
    inputs = derivation_of(layer).layer.inputs
    labels = {adjoint(v).label for v in inputs if wrt in ("", v.label)}
    for result in reversed(adjoints):
        if result.var.label in labels:
            labels |= {s.label for s in result.start.free_symbols if hasattr(s, "label")}
    return [result for result in adjoints if result.var.label in labels]


def lacking(blocks: tuple[Block, ...], owed: list[Step]) -> list[str]:
    """The rules of the steps that are not there, or not in their order."""
    given = iter(equations(blocks))
    return [s.rule for s in owed if not any(s.rule == equation.rule for equation in given)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", SQUARE)
def test_sections(layer: str, form: Form) -> None:
    title, *others = titles(document_of(layer, form=form))
    assert title == LAYERS[layer].title
    assert [t for t in others if t != "Identities"] == TITLES[form]
    identities = bool(derivation_of(layer).identities) and form != "summary"
    assert ("Identities" in others) == identities


@pytest.mark.parametrize("layer", sorted(set(LAYERS) - set(SQUARE)))
def test_no_jacobian_where_there_is_no_square_matrix(layer: str) -> None:
    for form in FORMS:
        assert not {"Jacobian", "uR"} & set(titles(document_of(layer, form=form)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_certified_step_is_there(layer: str, form: Form) -> None:
    inputs = [var.label for var in LAYERS[layer].inputs]
    for wrt in ("", *(inputs if form == "all" else [])):
        blocks = document_of(layer, wrt=wrt, form=form)
        owed = shown_steps(layer, wrt, form)
        assert not lacking(blocks, owed)
        assert sum(bool(equation.rule) for equation in equations(blocks)) == len(owed)


def test_a_lost_step_is_seen() -> None:
    blocks = document_of("batch_norm")
    owed = shown_steps("batch_norm", "", "all")
    assert len(owed) > 10
    for place, block in enumerate(blocks):
        if isinstance(block, Equation) and block.rule:
            assert lacking((*blocks[:place], *blocks[place + 1 :]), owed)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_steps_only_what_they_lead_to(layer: str) -> None:
    for form in FORMS:
        blocks = document_of(layer, form=form, steps=False)
        assert not any(equation.rule for equation in equations(blocks))
        assert "To closed form" not in titles(blocks)
        whole = lines(document_of(layer, form=form))
        missing = [line for line in lines(blocks) if line not in whole]
        # Where the steps are, a step's left side is the chain's; the same line starts no chain.
        assert all(line.partition(" = ")[2] in "\n".join(whole) for line in missing)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_part_is_made_of_the_lines_of_the_whole(layer: str) -> None:
    """So that a test of the whole document's lines is a test of every form's."""
    whole = set(lines(document_of(layer)))
    for form in FORMS:
        assert set(lines(document_of(layer, form=form))) <= whole


@pytest.mark.parametrize("layer", LAYERS)
def test_only_what_is_wanted_is_concluded(layer: str) -> None:
    for var in LAYERS[layer].inputs[:2]:
        blocks = document_of(layer, wrt=var.label, form="closed")
        last = max(k for k, b in enumerate(blocks) if b == Heading("Closed forms"))
        needed = {result.var for result in needed_for(layer, var.label)}
        kept = needed & {adjoint(stage) for stage in LAYERS[layer].stages}
        assert len(blocks) == last + 2 + len(kept)


def test_every_equation_of_a_chain_has_a_reason() -> None:
    for layer in LAYERS:
        for block in document_of(layer):
            if isinstance(block, Equation) and (block.rule or block.continued):
                assert block.reason is not None
                assert block.reason.template


def test_the_spectrum_is_told_in_sentences() -> None:
    words = [block for block in document_of("batch_norm") if isinstance(block, Words)]
    templates = [block.template for block in words]
    assert any(template.startswith("R has the eigenvalue {}, {} times") for template in templates)
    assert templates[-1] == "rank R = {}, and {} where {} = 0 (if the data vary)"
    assert all(block.template.count("{}") == len(block.formulas) for block in words)


def test_the_batch_is_the_first_index() -> None:
    """In a block the inputs of the linear layer are summed over as well."""
    staged = lines(document_of("block", form="staged"))
    assert "μₚ = (1/m) Σᵢ Zₚᵢ" in staged
    assert lines(document_of("batch_norm_2d"))[0] == "μ_B = 1/(N H W) Σᵢ Σᵣ Σₚ xᵢᵣₚ"
