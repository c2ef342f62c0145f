"""The studies: what they conclude, that every equality in them is proved, and that it can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sympy import Expr

from derive.closed_form import closed_form
from derive.expr import add, canonical, mul
from derive.layers.batch_norm import BATCH_NORM, beta, eps, gamma, n
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE, mean, variance
from derive.render.latex_document import latex
from derive.render.study_document import study_document
from derive.render.terminal import lines
from derive.studies import STUDIES, running_statistics
from derive.studies.folding import bias, weight
from derive.study import Section
from derive.trace import CertificationError, Fact, Reason, Result
from tests.derive.render.documents import published_study

SECTIONS = {name: study.develop() for name, study in STUDIES.items()}
ALL = [section for sections in SECTIONS.values() for section in sections]
m = n.size


@pytest.mark.parametrize("name", STUDIES)
def test_every_equality_is_proved(name: str) -> None:
    pairs = [(s, pair) for s in SECTIONS[name] for pair in s.equalities()]
    assert len(pairs) >= 5
    for section, (left, right) in pairs:
        assert section.proves(left, right)
        assert not section.proves(left, add(right, 1))


@pytest.mark.parametrize("section", ALL, ids=lambda section: section.title)
def test_steps_follow_one_another(section: Section) -> None:
    for entry in section.entries:
        if isinstance(entry, Result):
            before = entry.start
            for step in entry.steps:
                assert step.before == before
                before = step.after
            assert entry.closed == before


def _conclusions(study: str, section: int) -> dict[str, Expr]:
    return {d.var.label: canonical(d.expr) for d in SECTIONS[study][section].conclusions}


def test_folding() -> None:
    std = (variance + eps) ** (mul(1) / 2)
    alone, linear = _conclusions("folding", 0), _conclusions("folding", 1)
    assert alone == {"scale": gamma / std, "shift": beta - gamma * mean / std}
    assert linear == {
        "folded_weight": weight * gamma / std,
        "folded_bias": beta - gamma * mean / std + bias * gamma / std,
    }


def test_the_correction_is_derived() -> None:
    assert _conclusions("running_statistics", 0) == {"correction": m / (m - 1)}
    first = SECTIONS["running_statistics"][0]
    of_variance = first.entries[3]
    assert isinstance(of_variance, Result)
    assert first.proves(of_variance.lhs, (m - 1) / m * variance)
    assert [step.rule for step in of_variance.steps] == ["linear", "moments", "collect"]


def test_on_average_only_the_corrected_variance_stays_right() -> None:
    facts = [e for e in SECTIONS["running_statistics"][1].entries if isinstance(e, Fact)]
    assert [
        fact.rhs == kept for fact, kept in zip(facts, (mean, variance, variance), strict=True)
    ] == [
        True,
        False,
        True,
    ]


def test_test_mode_is_training_with_frozen_statistics() -> None:
    assert [d.var.label for d in BATCH_NORM_INFERENCE] == ["x_hat", "y"]
    assert BATCH_NORM_INFERENCE["y"] == BATCH_NORM["y"]
    assert BATCH_NORM_INFERENCE.learnt == BATCH_NORM.learnt


def test_a_wrong_expectation_cannot_be_made_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_statistics, "closed_form", lambda *a: mul(2, closed_form(*a)))
    with pytest.raises(CertificationError, match="rule 'collect' changed the value"):
        running_statistics.STUDY.develop()


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("ascii", [False, True])
def test_printing(name: str, ascii: bool) -> None:
    blocks = study_document(STUDIES[name])
    text = ["".join(span.text for span in line) for line in lines(blocks, width=80, ascii=ascii)]
    assert max(map(len, text)) <= (80 if ascii else 90)  # combining accents take no column
    assert all(line == line.rstrip() for line in text)
    assert not ascii or "".join(text).isascii()
    short = study_document(STUDIES[name], steps=False)
    assert len(short) < len(blocks)
    tex = latex(published_study(name))
    assert tex.count("\\begin{align}") == tex.count("\\end{align}") > 0


def test_a_section_states_what_is_not_a_name() -> None:
    section = SECTIONS["running_statistics"][0]
    result = next(e for e in section.entries if isinstance(e, Result))
    assert (result.lhs, result.start) in list(section.equalities())
    fact = Fact(mean, variance, Reason("wrong"))
    assert not replace(section, entries=(fact,)).proves(fact.lhs, fact.rhs)
