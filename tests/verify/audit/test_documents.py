"""The verdicts on the source documents' formulas, and that they follow the formulas."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from sympy import Expr

from derive.chart import NotNormalError
from derive.errors import InputError, SourceError
from derive.normal_form import NormalForm
from derive.trace import CertificationError
from tests.verify.audit.document_readings import READINGS
from verify.audit import formula, formula_exact
from verify.audit.documents import Judged, answers, asked, judged, worst
from verify.audit.documents_page import page
from verify.audit.evidence import as_line, evidence
from verify.audit.formula import Judgement, Verdict
from verify.audit.formula_exact import Confirmation, Example
from verify.audit.subjects import Subject, subject
from verify.audit.transcriptions import Document, Statement, document, documents

PAGE = Path(__file__).parents[3] / "docs" / "source_documents.md"
DOCUMENTS = {found.number: found for found in documents()}

EQUAL, IDENTITY = "equal", "equal through an identity"
CONVENTION, WRONG = "equal under a condition", "not equal"
EXCEPTIONS: dict[str, str] = {
    "000.5": IDENTITY,
    "001.2": IDENTITY,  # np.var takes the mean by itself, and that is mu by its definition
    "001.4": CONVENTION,
    "001.5": CONVENTION,
    "002.2": CONVENTION,
    "002.3": WRONG,
    "003.1": CONVENTION,
    "003.2": CONVENTION,
    **{f"003.{k}": IDENTITY for k in (11, 13, 14, 15, 16, 17, 19, 20, 25, 26)},
}
COUNTS = {"000": 14, "001": 18, "002": 3, "003": 30, "004": 5}
NO_ORACLE = ["003.12"]


@pytest.fixture(scope="module")
def found() -> list[tuple[Document, list[Judged]]]:
    return judged(documents())


@pytest.fixture(scope="module")
def verdicts(found: list[tuple[Document, list[Judged]]]) -> dict[str, Judgement]:
    return {one.number: one.answers[0][1] for _, formulas in found for one in formulas}


def statement(number: str) -> tuple[Document, Statement]:
    which, _, k = number.partition(".")
    return DOCUMENTS[which], DOCUMENTS[which].formula[int(k) - 1]


def judge_as(number: str, reads: str) -> Judgement:
    """The verdict on a formula that reads otherwise than it does."""
    where, taken = statement(number)
    return answers(where, replace(taken, reads=reads))[0][1]


# --- Readings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", READINGS)
def test_every_reading_is_the_one_that_a_person_gives(number: str) -> None:
    where, taken = statement(number)
    read = asked(where, taken)
    by_hand = [q for text in READINGS[number] for q in asked(where, replace(taken, reads=text))]
    for mine, theirs in zip(read, by_hand, strict=True):
        assert mine.apart == theirs.apart
        assert mine.formula.lhs == theirs.formula.lhs
        assert same(mine.formula.rhs, theirs.formula.rhs, subject(taken.layer))


def same(one: Expr, other: Expr, about: Subject) -> bool:
    """Equal by the rules of sums alone, or where there is no normal form, as they are written."""
    bare = replace(about.chart, eliminated={}, identities=(), roots={})
    try:
        return NormalForm(bare).zero(one - other)
    except NotNormalError:
        return bool(one == other)


# --- The verdicts ---------------------------------------------------------------------------------


def test_every_formula_is_transcribed() -> None:
    assert {number: len(found.formula) for number, found in DOCUMENTS.items()} == COUNTS


def test_every_verdict(verdicts: dict[str, Judgement]) -> None:
    expected = dict.fromkeys(verdicts, EQUAL) | EXCEPTIONS
    assert {number: judgement.verdict for number, judgement in verdicts.items()} == expected


def test_all_that_is_equal_is_compared_exactly(verdicts: dict[str, Judgement]) -> None:
    idle = [n for n, found in verdicts.items() if found.verdict != WRONG and not found.cases]
    assert idle == NO_ORACLE


def test_the_identity_is_that_of_the_mean(verdicts: dict[str, Judgement]) -> None:
    taken = [verdicts[n].identities for n, verdict in EXCEPTIONS.items() if verdict == IDENTITY]
    assert all([identity.source.label for identity in each] == ["mu"] for each in taken)
    words = evidence(verdicts["000.5"], as_line(True))
    assert "sum_i (x_i - mu_B) = 0, by the definition of mu_B" in " ".join(words)


def test_the_conventions(verdicts: dict[str, Judgement]) -> None:
    named = {n: c.name for n, found in verdicts.items() if (c := found.condition) is not None}
    momentum, size, epsilon = "momentum of the old value", "n = k", "sigma^2 contains epsilon"
    assert named == {
        **dict.fromkeys(("001.4", "001.5"), momentum),
        **dict.fromkeys(("002.2", "002.3"), epsilon),
        **dict.fromkeys(("003.1", "003.2"), size),
    }
    declared = {s.under for found in DOCUMENTS.values() for s in found.formula if s.under}
    assert declared <= set(named.values())


def test_the_wrong_formula_has_the_smallest_numbers(verdicts: dict[str, Judgement]) -> None:
    """x = (0, 1): mu = 1/2, var = 1/4, the root is 1; (0 - 1/2)/1 against (0 - 1/4)/1."""
    wrong = verdicts["002.3"]
    assert wrong.example is not None
    assert dict(wrong.example.given) == {
        "x": ("0", "1"),
        "gamma": ("1",),
        "beta": ("0",),
        "eps": ("3/4",),
    }
    assert (wrong.example.expected, wrong.example.got) == ("-1/2", "-1/4")
    words = " ".join(evidence(wrong, as_line(True)))
    right = "The derivation gives y_i = (gamma/sqrt(sigma^2_B + eps)) (x_i - mu_B) + beta."
    assert words.endswith(right)


def test_the_worst_of_several_verdicts_counts(found: list[tuple[Document, list[Judged]]]) -> None:
    (cases,) = (one for _, formulas in found for one in formulas if one.number == "003.12")
    assert [question.apart for question, _ in cases.answers] == [False, True]
    assert worst(cases) == EQUAL
    (question, right), other = cases.answers
    damaged = replace(right, verdict="not equal")
    assert worst(replace(cases, answers=((question, damaged), other))) == WRONG


def test_the_page_is_up_to_date(found: list[tuple[Document, list[Judged]]]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(found)


# --- Damage ---------------------------------------------------------------------------------------

FLIPPED = [
    *(f"000.{k}" for k in range(1, 15)),
    *(f"001.{k}" for k in (4, 5, 7, 11, 12, 13, 14)),
    *(f"002.{k}" for k in range(1, 4)),
    *(f"003.{k}" for k in (1, 8, 15, 17, 18, 22, 23, 24, 25, 26)),
    *(f"004.{k}" for k in (1, 5)),
]


@pytest.mark.parametrize("number", FLIPPED)
def test_a_flipped_sign_is_wrong(number: str) -> None:
    left, _, right = READINGS[number][0].partition(" = ")
    right, comma, condition = right.partition(", i ")
    damaged = judge_as(number, f"{left} = -({right}){comma}{condition}")
    assert damaged.verdict == WRONG
    assert damaged.example is not None
    assert damaged.example.expected != damaged.example.got


DAMAGED = [
    ("000.5", "dl/dmu = sum[i](dl/dx_hat[i] * -1/(var + eps))"),
    ("000.8", "dl/dx[i] = dl/dx_hat[i]/sqrt(var + eps) + dl/dvar*2*(x[i] - mu)/m"),
    ("000.12", "variance = E_var"),
    ("000.14", "y[i] = gamma/sqrt(variance + eps)*x[i] + (beta - gamma*mean)"),
    ("001.4", "running_mean = momentum*mean + momentum*mu"),
    ("001.13", "dl/dx[i] = dl/dx_hat[i]*dx_"),
    ("001.16", "dl/dx[i] = di[i]"),
    ("003.11", "sum[t](x[t] - mu) = 1"),
    ("003.17", "dx_hat[i]/dx[j] = (m - 1 - x_hat[i]*x_hat[j])/(m*sqrt(var + eps)), i != j"),
    ("003.20", "dy[i]/dx[j] = gamma*(-1 - x_hat[i]*x_hat[j])/sqrt(var + eps), i != j"),
    ("003.24", "R[i, j] = -1 + x_hat[i]*x_hat[j], i != j"),
    ("004.4", "Z_tilde[i] = gamma*(Z[i] - mu)/(var + eps) + beta"),
]


@pytest.mark.parametrize(("number", "reads"), DAMAGED)
def test_a_changed_term_is_wrong(number: str, reads: str) -> None:
    assert judge_as(number, reads).verdict == WRONG


@pytest.mark.parametrize("number", ["000.5", "003.13", "003.26"])
def test_without_the_identity_nothing_is_proved(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formula, "VALUES", ())  # the identity is found again with any of these
    about = subject("batch_norm")
    bare = replace(about, chart=replace(about.chart, identities=()))
    ((_, judgement),) = answers(*statement(number), bare)
    assert not judgement.holds


def test_held_quantities_matter() -> None:
    """The total derivatives are others than those with the statistics held constant."""
    for number in ("001.11", "001.13"):
        where, taken = statement(number)
        ((_, judgement),) = answers(where, replace(taken, held=()))
        assert not judgement.holds


def test_different_indices_matter() -> None:
    damaged = judge_as("003.17", READINGS["003.17"][0].removesuffix(", i != j"))
    assert damaged.verdict == CONVENTION
    assert damaged.condition is not None
    assert damaged.condition.name == "i != j"
    assert damaged.example is not None  # where they are the same


@pytest.mark.parametrize(
    ("number", "verdict"),
    [("001.4", WRONG), ("002.2", CONVENTION), ("003.1", "cannot be proved")],
)
def test_without_the_conventions(
    number: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formula, "conventions", lambda _: ())
    ((_, judgement),) = answers(*statement(number))
    assert judgement.verdict == verdict


def test_an_oracle_that_contradicts_a_proof_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    refuted = Confirmation(1, Example((), (), (), "1", "2"))
    monkeypatch.setattr(formula_exact, "confirm", lambda _: refuted)
    with pytest.raises(CertificationError, match="was proved, but the oracle finds"):
        answers(*statement("000.1"))


def test_what_the_oracle_holds_up_is_not_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula, "_proved", lambda _: None)
    ((_, judgement),) = answers(*statement("000.1"))
    assert judgement.verdict == "cannot be proved"


# --- Transcriptions -------------------------------------------------------------------------------

GOOD = """
title = "a title"
[[formula]]
place = "here"
latex = "y = x"
reads = "mu = mean[i](x[i])"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "lay = 'x'", "document 9, formula 1: unknown key lay; known: place"),
        ("author = 'me'" + GOOD, "document 9: unknown key author; known: number"),
        (GOOD.replace("place", "remark"), "document 9, formula 1: .*'place'"),
        ("title", "document 9: not TOML"),
    ],
)
def test_what_is_no_transcription_is_refused(text: str, said: str) -> None:
    assert document("9", GOOD).formula[0].reads == "mu = mean[i](x[i])"
    with pytest.raises(InputError, match=said):
        document("9", text)


def test_what_cannot_be_read_says_where() -> None:
    with pytest.raises(SourceError, match="back propagation, 3:1:10: unknown name gama"):
        judge_as("000.5", "dl/dmu = gama")
    where, taken = statement("000.5")
    with pytest.raises(InputError, match="there is no layer 'batchnorm'"):
        answers(where, replace(taken, layer="batchnorm"))


def test_numbers_are_searched_in_the_order_of_their_sum() -> None:
    found = [n for total in range(5) for n in formula_exact._summing(total, 2)]
    assert sorted(found) == list(itertools.product(range(3), repeat=2))
    assert [sum(numbers) for numbers in found] == sorted(map(sum, found))
