"""The verdicts on the source documents' formulas, and that they follow the formulas."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from derive.errors import InputError, SourceError
from derive.trace import CertificationError
from verify.audit import formula, formula_exact
from verify.audit.documents_page import as_line, evidence, judged, page
from verify.audit.formula import CONVENTIONS, Judgement, Verdict, judge
from verify.audit.formula_exact import Confirmation, Example
from verify.audit.subjects import subject
from verify.audit.transcriptions import Document, Statement, document, documents

PAGE = Path(__file__).parents[3] / "docs" / "source_documents.md"
DOCUMENTS = {found.number: found for found in documents()}

EQUAL, IDENTITY, CONVENTION, WRONG = "equal", "equal through an identity", "convention", "wrong"
EXCEPTIONS: dict[str, str] = {
    "000.5": IDENTITY,
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
def found() -> list[tuple[Document, list[tuple[str, Statement, Judgement]]]]:
    return judged(documents())


@pytest.fixture(scope="module")
def verdicts(
    found: list[tuple[Document, list[tuple[str, Statement, Judgement]]]],
) -> dict[str, Judgement]:
    return {number: judgement for _, formulas in found for number, _, judgement in formulas}


def statement(number: str) -> tuple[Statement, Document]:
    which, _, k = number.partition(".")
    return DOCUMENTS[which].formula[int(k) - 1], DOCUMENTS[which]


def judge_as(number: str, reads: str) -> Judgement:
    """The verdict on a formula that reads otherwise than it does."""
    taken, where = statement(number)
    return judge(replace(taken, reads=reads), where.names)


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
    words = evidence(statement("000.5")[0], verdicts["000.5"], as_line(True))
    assert "sum_i (x_i - mu_B) = 0, by the definition of mu_B" in words


def test_the_conventions(verdicts: dict[str, Judgement]) -> None:
    named = {n: c.name for n, found in verdicts.items() if (c := found.convention) is not None}
    momentum, size, epsilon = "momentum of the old value", "n = k", "sigma^2 contains epsilon"
    assert named == {
        **dict.fromkeys(("001.4", "001.5"), momentum),
        **dict.fromkeys(("002.2", "002.3"), epsilon),
        **dict.fromkeys(("003.1", "003.2"), size),
    }
    assert {c.name for c in CONVENTIONS} == set(named.values())
    declared = {s.under for found in DOCUMENTS.values() for s in found.formula if s.under}
    assert declared <= {c.name for c in CONVENTIONS}


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
    assert wrong.corrected is not None
    assert wrong.corrected.verdict == CONVENTION


def test_the_page_is_up_to_date(
    found: list[tuple[Document, list[tuple[str, Statement, Judgement]]]],
) -> None:
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
    left, _, right = statement(number)[0].reads.partition(" = ")
    damaged = judge_as(number, f"{left} = -({right})")
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
    ("003.11", "total = 1"),
    ("003.17", "dx_hat[i]/dx[j] = (m - 1 - x_hat[i]*x_hat[j])/(m*sqrt(var + eps))"),
    ("003.20", "dy[i]/dx[j] = gamma*(-1 - x_hat[i]*x_hat[j])/sqrt(var + eps)"),
    ("003.24", "R[i, j, c] = -1 + x_hat[i]*x_hat[j]"),
    ("004.4", "Z_tilde[i] = gamma*(Z[i] - mu)/(var + eps) + beta"),
]


@pytest.mark.parametrize(("number", "reads"), DAMAGED)
def test_a_changed_term_is_wrong(number: str, reads: str) -> None:
    assert judge_as(number, reads).verdict == WRONG


@pytest.mark.parametrize("number", ["000.5", "003.13", "003.26"])
def test_without_the_identity_nothing_is_proved(number: str) -> None:
    taken, where = statement(number)
    about = subject("batch_norm")
    bare = replace(about, chart=replace(about.chart, identities=()))
    assert judge(taken, where.names, bare).verdict == "cannot be proved"


def test_held_quantities_matter() -> None:
    """The total derivatives are others than those with the statistics held constant."""
    for number in ("001.11", "001.13"):
        taken, where = statement(number)
        assert judge(replace(taken, held=()), where.names).verdict == WRONG


def test_different_indices_matter() -> None:
    taken, where = statement("003.17")
    assert judge(replace(taken, apart=False), where.names).verdict == WRONG


@pytest.mark.parametrize(
    ("number", "verdict"),
    [("001.4", WRONG), ("002.2", WRONG), ("003.1", "cannot be proved")],
)
def test_without_the_conventions(
    number: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formula, "CONVENTIONS", ())
    taken, where = statement(number)
    assert judge(taken, where.names).verdict == verdict


def test_an_oracle_that_contradicts_a_proof_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    refuted = Confirmation(1, Example((), (), (), "1", "2"))
    monkeypatch.setattr(formula_exact, "confirm", lambda _: refuted)
    with pytest.raises(CertificationError, match="was proved, but the oracle finds"):
        judge(*statement("000.1")[:1])


def test_what_the_oracle_holds_up_is_not_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula, "_proved", lambda _: None)
    assert judge(statement("000.1")[0]).verdict == "cannot be proved"


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
        (GOOD.replace("reads", "remark"), "document 9, formula 1: .*'reads'"),
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
    with pytest.raises(InputError, match="there is no layer 'batchnorm'"):
        judge(replace(statement("000.5")[0], layer="batchnorm"))


def test_numbers_are_searched_in_the_order_of_their_sum() -> None:
    found = [n for total in range(5) for n in formula_exact._summing(total, 2)]
    assert sorted(found) == list(itertools.product(range(3), repeat=2))
    assert [sum(numbers) for numbers in found] == sorted(map(sum, found))
