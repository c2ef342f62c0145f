"""The table of symbols, and R with all its entries."""

from __future__ import annotations

import pytest

from derive.render import PAPER, notation, to_latex, to_line
from derive.render.blocks import Symbols
from derive.render.document import document
from derive.render.macros import with_macros
from derive.render.terminal import lines, words
from derive.render.text import to_picture
from derive.render.tree import Matrix
from tests.derive.render.documents import document_of, equations
from tests.derive.statements import derivation_of


def table(layer: str, **options: str) -> dict[str, str]:
    (found,) = (b for b in document_of(layer, symbols=True, **options) if isinstance(b, Symbols))
    return {to_line(tree): words(meaning, ascii=False) for tree, meaning in found.rows}


def test_every_name_of_a_layer_is_in_the_table() -> None:
    found = table("batch_norm")
    assert found["σ²_B"] == "mini-batch variance"
    assert found["m"] == "the number of values of the index i"
    assert found["∂ℓ/∂yᵢ"].startswith("the gradient")
    assert "Rᵢⱼ" in found
    assert "u" not in table("batch_norm", wrt="gamma")
    assert {"N", "m"} <= set(table("layer_norm"))


def test_the_table_in_a_terminal() -> None:
    blocks = document_of("batch_norm", symbols=True)
    text = ["".join(span.text for span in line) for line in lines(blocks, width=60)]
    assert "  μ_B      mini-batch mean" in text


MATRIX = """
    ⎛m − 1 − x̂₁²   −1 − x̂₁ x̂₂    ⋯   −1 − x̂₁ x̂ₘ ⎞
    ⎜−1 − x̂₂ x̂₁    m − 1 − x̂₂²   ⋯   −1 − x̂₂ x̂ₘ ⎟
R = ⎜     ⋮             ⋮        ⋱        ⋮     ⎟
    ⎝−1 − x̂ₘ x̂₁    −1 − x̂ₘ x̂₂    ⋯   m − 1 − x̂ₘ²⎠
"""


def test_r_with_its_entries() -> None:
    (shown,) = (e for e in equations(document_of("batch_norm")) if isinstance(e.tree.right, Matrix))
    assert to_picture(shown.tree) == MATRIX.strip("\n").splitlines()
    assert to_line(shown.tree, ascii=True).startswith(
        "R = [m - 1 - x_hat_1^2, -1 - x_hat_1 x_hat_2"
    )
    assert r"\cdots & -1 - \hat{x}_1 \hat{x}_m \\" in to_latex(shown.tree)


@pytest.mark.parametrize("macros", [[], ["m=M"], [r"m=\mathrm{size}"]])
def test_a_size_that_is_no_letter_is_no_index(macros: list[str]) -> None:
    derivation = derivation_of("batch_norm")
    symbols = with_macros(PAPER, derivation.layer, macros)
    blocks = document(derivation, notation=symbols)
    shown = [e for e in equations(blocks) if isinstance(e.tree.right, Matrix)]
    assert len(shown) == (not macros)
    assert not any(
        isinstance(e.tree.right, Matrix) for e in equations(document_of("batch_norm_2d"))
    )


def test_sizes_have_their_names_in_a_matrix() -> None:
    (shown,) = (
        e
        for e in equations(document(derivation_of("softmax"), notation=notation("lamp")))
        if isinstance(e.tree.right, Matrix)
    )
    assert "p_k" in to_line(shown.tree, ascii=True)
