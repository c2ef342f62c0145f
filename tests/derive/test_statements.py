"""Every statement of a derivation is certified, and true by the independent oracle."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sympy import Add

from derive import derivation as derivation_module
from derive.derivation import derive
from derive.differentiate import vjp
from derive.expr import HALF, Definition, SumOver, add, adjoint, mul
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, eps, gamma, mu, n, var, x, x_hat, y
from derive.normal_form import NormalForm
from derive.trace import CertificationError
from tests.altered import BATCH_NORMS
from tests.derive.statements import ALL, claims, derivation_of, reference_of
from verify.exact import Claim, check, confirmed

ROOT = Path(__file__).parents[2]
DY = adjoint(y)


@pytest.mark.parametrize("name", ALL)
def test_every_statement_is_true(name: str) -> None:
    derivation = derivation_of(name)
    stated = claims(derivation)
    outcomes = check(derivation.layer, stated, reference_of(name), sizes=(2, 3, 5))
    assert [(o.claim, o.counterexample) for o in outcomes if o.failures] == []
    assert confirmed(outcomes)
    assert len(stated) >= 12


@pytest.mark.parametrize("name", ALL)
def test_a_statement_with_a_term_too_many_is_seen_to_be_false(name: str) -> None:
    derivation = derivation_of(name)
    wrong = [replace(claim, expr=add(claim.expr, 1)) for claim in claims(derivation)]
    outcomes = check(derivation.layer, wrong, reference_of(name), sizes=(2, 3))
    assert [o.claim for o in outcomes if not o.failures and not o.skipped] == []


@pytest.mark.parametrize("name", ALL)
def test_every_step_has_two_equal_sides_and_follows_the_one_before(name: str) -> None:
    derivation = derivation_of(name)
    known: dict[str, Definition] = {}
    for result in derivation.adjoints:
        normal_form = NormalForm(derivation.chart, known)
        before = result.start
        for step in result.steps:
            assert step.before == before
            assert step.after != before
            assert normal_form.zero(step.before - step.after)
            before = step.after
        assert result.closed == before
        known[result.var.label] = result.definition
    assert derivation.known == known


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_a_definition_changes_the_gradient(name: str) -> None:
    """Batch Norm's dx is not the altered layer's, unless only the way of writing was altered."""
    closed = derivation_of("batch_norm")["dx"].closed
    if name == "no gamma":
        assert closed.has(gamma)
        assert not derivation_of(name)["dx"].closed.has(gamma)
        return
    layer, reference = BATCH_NORMS[name]
    outcomes = check(layer, [Claim("dx", adjoint(x), closed)], reference, sizes=(4,))
    assert confirmed(outcomes) == (name == "named std")


def test_without_a_mean_no_sum_of_the_cotangent_is_subtracted() -> None:
    assert derivation_of("batch_norm")["dx"].closed.has(SumOver(DY, n))
    assert not derivation_of("no mean")["dx"].closed.has(SumOver(DY, n))


def test_epsilon_outside_the_root() -> None:
    """With σ = √σ², R's second eigenvalue is mε/(σ + ε) in place of mε/(σ² + ε)."""
    derivation = derivation_of("eps outside")
    m, sigma = n.size, var**HALF
    sums = m * DY - SumOver(DY, n) - x_hat * (1 + eps / sigma) * SumOver(mul(DY, x_hat), n)
    normal_form = NormalForm(derivation.chart)
    dmu, dx = derivation["dmu"], derivation["dx"]
    assert normal_form.zero(dmu.closed + gamma * SumOver(DY, n) / (sigma + eps))
    assert normal_form.zero(dx.closed - gamma / (m * (sigma + eps)) * sums)
    assert [step.rule for step in dmu.staging] == ["vanishing sum"]
    assert derivation.jacobian is not None
    spectrum = derivation.jacobian.spectrum
    assert spectrum is not None
    values = [eigenvalue.value for eigenvalue in spectrum.eigenvalues]
    for value, known in zip(values, (m, m * eps / (sigma + eps), 0), strict=True):
        assert normal_form.zero(value - known)


def test_the_mean_has_a_term_through_the_variance_that_vanishes() -> None:
    dmu = derivation_of("batch_norm")["dmu"]
    assert isinstance(dmu.start, Add)
    assert len(dmu.start.args) == 2
    (step,) = dmu.staging
    assert step.rule == "vanishing sum"
    assert step.reason.formulas == (SumOver(add(x, mul(-1, mu)), n), mu)
    assert not isinstance(dmu.staged, Add)


def test_an_unknown_result_is_refused() -> None:
    with pytest.raises(KeyError, match="batch_norm has dx_hat, dvar, dmu, dx, dgamma, dbeta, not"):
        derivation_of("batch_norm")["dalpha"]


def test_a_wrong_derivative_is_not_the_transpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reverse mode gets wrong, forward mode contradicts."""

    def careless(*args: Any) -> object:
        *others, last = vjp(*args)
        return (*others, replace(last, expr=mul(2, last.expr)))

    monkeypatch.setattr(derivation_module, "vjp", careless)
    with pytest.raises(CertificationError, match="transpose"):
        derive(BATCH_NORM)


SHOW = """
import sys
from derive.derivation import derive
from derive.layers import LAYERS
for name in sys.argv[1:]:
    derivation = derive(LAYERS[name])
    lines = [repr(step) for step in derivation.steps()]
    lines += [repr(fact) for fact in derivation.all_facts()]
    lines += [repr((result.lhs, result.start, result.closed)) for result in derivation.adjoints]
    lines.append(repr(derivation.jacobian))
    for line in lines:
        print(name, line)
"""


def _shown(seed: str, *names: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *names],
        cwd=ROOT,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_output_depends_on_neither_the_hash_seed_nor_the_order_of_layers() -> None:
    names = list(LAYERS)
    first = _shown("0", *names)
    assert len(first) > 100
    assert _shown("1", *names) == first
    reverse = _shown("12345", *reversed(names))
    assert reverse != first
    assert sorted(reverse, key=_layer) == sorted(first, key=_layer)


def _layer(line: str) -> str:
    return line.split()[0]
