r"""Names of one's own, ``--macro loss=\mathcal{L}``, and what is refused."""

from __future__ import annotations

import pytest

from derive.errors import InputError
from derive.layers import LAYERS
from derive.render import PAPER, notation, to_latex
from derive.render.html import html
from derive.render.macros import with_macros
from derive.render.publication import publication
from tests.derive.render.documents import equations

BATCH_NORM = LAYERS["batch_norm"]


def test_names_are_replaced_everywhere() -> None:
    macros = [r"loss=\mathcal{L}", r"x=\mathbf{z}", "m=M", r"u=\alpha"]
    document = publication(BATCH_NORM, notation=with_macros(PAPER, BATCH_NORM, macros))
    text = " ".join(to_latex(equation.tree) for equation in equations(document.blocks))
    assert r"\frac{\partial \mathcal{L}}{\partial \mathbf{z}_i}" in text
    assert r"\frac{1}{M} \sum_{i=1}^{M} \mathbf{z}_i" in text
    assert r"\alpha R_{ij}" in text
    assert "ℒ" in html(document)


def test_a_square_stays_and_what_one_layer_writes_apart_is_replaced() -> None:
    symbols = with_macros(PAPER, BATCH_NORM, [r"var=\nu"]).only["batch_norm"]
    assert (symbols["var"].latex, symbols["var"].square) == (r"\nu", True)
    lamp, softmax = notation("lamp"), LAYERS["softmax"]
    assert with_macros(lamp, softmax, ["e=h"]).only["softmax"]["e"].latex == "h"


@pytest.mark.parametrize(
    ("macro", "says"),
    [
        (r"loss=\input{x}", r"the command \\input is not allowed"),
        (r"loss=\write18{ls}", r"the command \\write"),
        ("loss={x", "not balanced"),
        ("loss=", "it is empty"),
        ("loss", "not of the form NAME=LATEX"),
        ("gama=x", "no 'gama'; did you mean gamma"),
        ("loss=" + "{a}" * 40, "too long"),
    ],
)
def test_what_is_refused(macro: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        with_macros(PAPER, BATCH_NORM, [macro])


def test_two_names_that_look_the_same_are_refused() -> None:
    with pytest.raises(InputError, match="have the same LaTeX"):
        publication(BATCH_NORM, notation=with_macros(PAPER, BATCH_NORM, [r"gamma=\beta"]))
