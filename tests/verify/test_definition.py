"""A layer's own definitions as reference: the same truth as one written apart, and its limits."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from codegen.backends import BACKENDS
from codegen.pipeline import build
from derive.chart import NotNormalError
from derive.derivation import derive, derive_or_stage
from derive.errors import InputError
from derive.expr import mul
from derive.grammar import parse_layer
from tests.derive.statements import derivation_of
from verify import accuracy_own
from verify.definition import reference_of
from verify.exact import Outcome, check, confirmed
from verify.loading import load
from verify.references import REFERENCES
from verify.report import failures
from verify.verification import Subject, claims, proved, verify

SIZES = (2, 3)


@pytest.mark.parametrize("name", ["batch_norm", "softmax", "rms_norm", "block_relu"])
def test_the_definitions_agree_with_a_reference_written_apart(name: str) -> None:
    derivation = derivation_of(name)
    by_definition = check(
        derivation.layer, claims(derivation), reference_of(derivation.layer), sizes=SIZES
    )
    apart = check(derivation.layer, claims(derivation), REFERENCES[name], sizes=SIZES)
    assert confirmed(by_definition)
    assert confirmed(apart)


def test_a_wrong_gradient_is_seen() -> None:
    derivation = derivation_of("rms_norm")
    (claim,) = (c for c in claims(derivation) if c.name == "dl/dx")
    wrong = replace(claim, expr=mul(2, claim.expr))
    layer = derivation.layer
    outcomes = check(layer, [wrong], reference_of(layer), sizes=SIZES)
    assert all(outcome.failures for outcome in outcomes)


BEHIND = """\
axes: n, c
x[n, c]; gamma[c]; beta[c]; eps > 0
mu[c]      = mean[n](x)
var[c]     = mean[n]((x - mu)^2)
x_hat[n,c] = (x - mu) / sqrt(var + eps)
z[n,c]     = gamma * x_hat + beta
y[n,c]     = {}
"""


def outcomes_of(text: str) -> list[Outcome]:
    derivation = derive_or_stage(parse_layer(text, "own"))
    reference = reference_of(derivation.layer)
    return check(derivation.layer, claims(derivation), reference, sizes=SIZES)


FUNCTIONS = (
    "log(z)",
    "tanh(z)",
    "sigmoid(z)",
    "erf(z)",
    "gauss(z)",
    "max(z, 1)",
    "abs(z) + sign(z)",
)


@pytest.mark.parametrize("formula", FUNCTIONS)
def test_elementwise_functions_behind_batch_norm(formula: str) -> None:
    assert confirmed(outcomes_of(BEHIND.format(formula)))


def test_a_cube_root_is_skipped() -> None:
    outcomes = outcomes_of(BEHIND.format("z^(1/3)"))
    assert {o.skipped for o in outcomes} == {
        "y has a root of degree 3; only square roots are exact"
    }
    assert not confirmed(outcomes)


def test_exp_of_a_sum_is_skipped_where_it_would_wrap_round() -> None:
    """exp(βγ + …) = exp(βγ) exp(…) has to hold, as the engine makes use of it."""
    by_field = {o.field: o.skipped for o in outcomes_of(BEHIND.format("exp(z)"))}
    assert by_field["field 2^61-1"].startswith("exp(a + b) = exp(a) exp(b) does not hold modulo")


def test_whole_numbers_in_an_exponent() -> None:
    text = "axes: n, c\nx[n, c]\nmu[n] = mean[c](x)\ny[n, c] = exp(x - mu)\n"
    outcomes = outcomes_of(text)
    assert {o.field for o in outcomes if o.cases} == {"rational"}
    assert not any(o.failures for o in outcomes)


def test_what_cannot_be_proved_is_staged() -> None:
    layer = parse_layer(BEHIND.format("log(z)"), "own")
    with pytest.raises(NotNormalError):
        derive(layer)
    derivation = derive_or_stage(layer)
    assert "division by beta[c] + gamma[c]*x_hat[n,c]" in derivation.unproved
    assert [r.var.label for r in derivation.adjoints][:2] == ["dz", "dx_hat"]
    assert not list(derivation.steps())
    (row,) = proved(derivation, lowered=False)
    assert (row.status, row.skipped) == ("skipped", derivation.unproved)
    with pytest.raises(InputError, match="kernels are made of what is proved"):
        build(derivation)
    assert derive_or_stage(derivation_of("softmax").layer) == derivation_of("softmax")


# --- In floating point ----------------------------------------------------------------------------


def test_a_kernel_in_floating_point() -> None:
    derivation = derivation_of("batch_norm")
    layer, reference = derivation.layer, reference_of(derivation.layer)
    source = BACKENDS["numpy"].render(build(derivation))
    rows = accuracy_own.check(load(source, "own"), layer, reference, seed=1)
    assert not failures(rows)
    assert {row.name.split()[0] for row in rows} == {"y", "dx", "dgamma", "dbeta", "y_dot"}
    assert all(row.ok and row.worst is not None and row.worst < 20 for row in rows)
    damaged = source.replace(
        "_WIDE: Any = np.dtype(np.float64)", "_WIDE: Any = np.dtype(np.float32)"
    )
    assert damaged != source
    assert failures(accuracy_own.check(load(damaged, "own"), layer, reference, seed=1))


def test_no_real_value_is_skipped() -> None:
    layer = parse_layer("axes: n, c\nx[n, c]\nmu[c] = mean[n](x)\ny[n, c] = sqrt(x) * mu\n", "own")

    rows = accuracy_own.check(ModuleType("unused"), layer, reference_of(layer), seed=0)
    assert [row.status for row in rows] == ["skipped", "skipped"]
    assert "no real value" in rows[0].skipped


def test_data_are_not_compared_with_another_layer() -> None:
    stages: list[str] = []
    subject = Subject(derivation_of("softmax"), None, own=True, no_kernel="none here")
    rows = verify(subject, progress=stages.append)
    assert {r.skipped for r in rows if r.skipped} == {"none here"}
    exact = [r.detail for r in rows if r.group == "exact" and not r.skipped]
    assert exact
    assert all(said.endswith("the reference is the definition itself") for said in exact)
    assert not failures(rows)
