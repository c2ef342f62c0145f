"""How derivations and steps show themselves in a notebook."""

from __future__ import annotations

from dataclasses import replace

import pytest

from derive.layers import LAYERS
from tests.derive.render.latex_faults import faults
from tests.derive.statements import derivation_of


@pytest.mark.parametrize("layer", LAYERS)
def test_every_step_shows_itself(layer: str) -> None:
    for step in derivation_of(layer).steps():
        shown = step._repr_latex_()
        assert shown.startswith(r"$\displaystyle ")
        assert not faults(shown.strip("$"))
        assert step._repr_markdown_() == shown


def test_a_step_says_why() -> None:
    step = derivation_of("batch_norm").identities[0].steps[1]
    assert step._repr_latex_() == (
        r"$\displaystyle \sum_{i=1}^{m} \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} = "
        r"\frac{1}{\sqrt{\sigma^2 + \varepsilon}} \sum_{i=1}^{m} (x_i - \mu) \qquad "
        r"\text{constants leave the sum}$"
    )


def test_a_derivation_shows_its_closed_forms_and_all_of_itself() -> None:
    derivation = derivation_of("batch_norm")
    latex = derivation._repr_latex_()
    assert latex.startswith("$$\\begin{aligned}\n\\frac{\\partial \\ell}{\\partial x_i} &= ")
    assert latex.count("&=") == 3
    markdown = derivation._repr_markdown_()
    assert markdown.startswith("# Batch Normalisation")
    assert "## Facts" in markdown
    assert markdown.count("$$") % 2 == 0


def test_what_is_not_proved_shows_its_staged_forms() -> None:
    derivation = replace(derivation_of("batch_norm"), unproved="for some reason")
    assert derivation._repr_latex_().count("&=") == 3
