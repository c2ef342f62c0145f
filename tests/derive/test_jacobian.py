"""The Jacobian as u·R, what is said about R, and both again in floating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sympy import Expr, Integer, Pow

from derive.coordinates import chart_of
from derive.derivation import derive
from derive.expr import HALF, Axis, Definition, Delta, SumOver, Var, add, canonical, mean, mul
from derive.jacobian import Eigenvalue, Jacobian, Spectrum, jacobian_of
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, n, var, x, x_hat, y
from derive.layers.softmax import SOFTMAX
from derive.normal_form import NormalForm
from derive.trace import CertificationError, Fact, JacobianEntry
from tests.derive.expressions import m, n1, n2, normal_form_of
from tests.derive.statements import derivation_of

Floats = NDArray[np.float64]
SIZE, EPSILON = 5, 0.5


def jacobian(name: str = "batch_norm") -> Jacobian:
    found = derivation_of(name).jacobian
    assert found is not None
    return found


def facts(name: str = "batch_norm") -> dict[str, Fact]:
    """By their words."""
    return {fact.says.template: fact for fact in jacobian(name).facts}


U, R = jacobian().u, jacobian().R
FORM = normal_form_of("batch_norm").knowing({"u": U, "R": R})


# --- u and R --------------------------------------------------------------------------------------


def test_u_and_r() -> None:
    assert (U.var, R.var) == (Var("u", c), Var("R", n, n1, c))
    assert canonical(U.expr) == gamma / (m * (var + eps) ** HALF)
    row = add(mul(m, Delta(n, n1)), -1, mul(-1, x_hat, x_hat.at(n1, c)))
    assert canonical(R.expr) == canonical(row)
    assert (jacobian().rows, jacobian().columns) == ((n,), (n1,))


def test_the_entry_is_u_times_r() -> None:
    entry = jacobian().entry
    assert entry.entry == JacobianEntry(y, x.at(n1, c))
    assert FORM.zero(entry.closed - U.var * R.var)
    assert not FORM.zero(entry.closed + U.var * R.var)


def test_the_intermediate_derivatives() -> None:
    found = {str(r.lhs.of): r.closed for r in jacobian().intermediate if r.entry and r.entry.of}
    delta, hat = Delta(n, n1), x_hat.at(n1, c)
    assert set(found) == {"mu[c]", "var[c]", "x_hat[n,c]"}
    assert found["mu[c]"] == 1 / m
    assert FORM.zero(found["var[c]"] - 2 * hat * (var + eps) ** HALF / m)
    by_hand = (m * delta - 1 - x_hat * hat) / (m * (var + eps) ** HALF)
    assert FORM.zero(found["x_hat[n,c]"] - by_hand)


FACTS: dict[str, tuple[Expr, Expr]] = {
    "R is symmetric": (R.var, R.var.at(n1, n, c)),
    "R applied to a constant vector": (SumOver(R.var, n1), Integer(0)),
    "R applied to {}": (
        SumOver(mul(R.var, x_hat.at(n1, c)), n1),
        m * eps * x_hat / (var + eps),
    ),
    "the trace of R": (
        SumOver(R.var.at(n, n, c), n),
        m * (m - 1) - m * var / (var + eps),
    ),
    "R squared": (
        SumOver(mul(R.var.at(n, n2, c), R.var.at(n2, n1, c)), n2),
        m * R.var - m * eps / (var + eps) * x_hat * x_hat.at(n1, c),
    ),
}


@pytest.mark.parametrize("says", FACTS)
def test_what_is_said_about_r(says: str) -> None:
    fact, (lhs, rhs) = facts()[says], FACTS[says]
    assert fact.lhs == lhs
    assert FORM.zero(fact.lhs - fact.rhs)
    assert FORM.zero(fact.rhs - rhs)
    assert not FORM.zero(fact.rhs - rhs - 1)


def test_the_chain_rules_result_is_the_cotangent_times_u_r() -> None:
    fact = facts()["the chain rule's result is the cotangent times uR"]
    known = derivation_of("batch_norm").known
    assert FORM.knowing(known).zero(fact.lhs - fact.rhs)
    assert len(jacobian().facts) == 1 + len(FACTS)


def test_eigenvalues_with_multiplicities() -> None:
    spectrum = jacobian().spectrum
    assert spectrum is not None
    rest, ones, hat = sorted(spectrum.eigenvalues, key=lambda e: str(e.vector or ""))
    assert (rest.value, canonical(rest.multiplicity), rest.vector) == (m, m - 2, None)
    assert (ones.value, ones.multiplicity, ones.vector) == (0, 1, 1)
    assert (hat.multiplicity, hat.vector) == (1, x_hat)
    assert canonical(hat.value) == m * eps / (var + eps)


def test_the_rank() -> None:
    """m − 1, and m − 2 in the limit where ε is 0."""
    spectrum = jacobian().spectrum
    assert spectrum is not None
    assert canonical(spectrum.rank()) == m - 1
    assert canonical(spectrum.rank(vanishing=(eps,))) == m - 2
    only = Spectrum((Eigenvalue(m, m - 1, None), Eigenvalue(Integer(0), Integer(1), Integer(1))))
    assert canonical(only.rank()) == m - 1


# --- Other layers ---------------------------------------------------------------------------------


def test_other_layers_have_other_facts() -> None:
    """RMSNorm does not centre: R·1 is not 0.  Softmax's p is no eigenvector."""
    form = normal_form_of("rms_norm").knowing({"R": jacobian("rms_norm").R})
    assert not form.zero(facts("rms_norm")["R applied to a constant vector"].rhs)
    spectrum = jacobian("rms_norm").spectrum
    assert spectrum is not None
    assert len(spectrum.eigenvalues) == 2
    assert facts("softmax")["R applied to a constant vector"].rhs == 0
    assert jacobian("softmax").u.expr == SOFTMAX["p"].var


def test_without_symmetry_there_is_no_spectrum() -> None:
    """∂pᵢ/∂xⱼ = pᵢ(δᵢⱼ − pⱼ) is u·R with u = pᵢ: R = δᵢⱼ − pⱼ is not symmetric."""
    assert "R is symmetric" not in facts("softmax")
    assert jacobian("softmax").spectrum is None


@pytest.mark.parametrize("name", ["part of the mean", "not centred"])
def test_what_does_not_centre_has_another_r(name: str) -> None:
    assert "R is symmetric" not in facts(name)
    assert jacobian(name).spectrum is None
    assert facts(name)["R applied to a constant vector"].rhs != 0


def test_an_elementwise_layer_has_a_diagonal_jacobian() -> None:
    z = Var("z", n, c)
    layer = replace(BATCH_NORM, name="affine", definitions=(Definition(z, gamma * x + beta),))
    found = derive(layer).jacobian
    assert found is not None
    assert canonical(found.entry.closed) == gamma * Delta(n, n1)
    assert (found.u.expr, found.R.expr) == (gamma, Delta(n, n1))


def test_an_output_over_other_axes_has_no_square_jacobian() -> None:
    total = Definition(Var("total", c), gamma * SumOver(x**2, n) + beta)
    assert derive(replace(BATCH_NORM, name="total", definitions=(total,))).jacobian is None


def test_a_wrong_chain_rule_is_contradicted() -> None:
    dx = derivation_of("batch_norm").known["dx"]
    form = NormalForm(chart_of(BATCH_NORM))
    assert jacobian_of(BATCH_NORM, form, dx) == jacobian()
    for wrong in (mul(-1, dx.expr), mul(2, dx.expr), add(dx.expr, mean(x_hat, n), 1)):
        with pytest.raises(CertificationError, match="dx = dy·uR"):
            jacobian_of(BATCH_NORM, form, replace(dx, expr=wrong))


# --- Floating point: m = 5 ------------------------------------------------------------------------


def _normalised(data: Floats) -> tuple[Floats, float]:
    centred = data - data.mean()
    variance = float((centred**2).mean())
    return centred / np.sqrt(variance + EPSILON), variance


def _number(expr: Expr, hat: Floats, variance: float, i: int = 0, j: int = 0) -> float:
    """A formula at indices i and j; γ is 3."""
    values: dict[Expr, float] = {
        x_hat: hat[i],
        x_hat.at(n1, c): hat[j],
        Delta(n, n1): float(i == j),
        gamma: 3.0,
        var: variance,
        eps: EPSILON,
        m: float(SIZE),
    }
    return float(expr.xreplace(values))


@pytest.fixture(scope="module")
def column() -> tuple[Floats, Floats, float]:
    data = np.random.default_rng(7).normal(3, 2, SIZE)
    return (data, *_normalised(data))


@pytest.fixture(scope="module")
def matrix(column: tuple[Floats, Floats, float]) -> Floats:
    """R, entry by entry from the derived formula."""
    _, hat, variance = column
    entries = range(SIZE)
    return np.array([[_number(R.expr, hat, variance, i, j) for j in entries] for i in entries])


def test_the_jacobian_is_that_of_finite_differences(
    column: tuple[Floats, Floats, float], matrix: Floats
) -> None:
    data, hat, variance = column
    u, step = _number(U.expr, hat, variance), 1e-5
    columns = []
    for j in range(SIZE):
        ahead, behind = (data + sign * step * np.eye(SIZE)[j] for sign in (1, -1))
        columns.append(3 * (_normalised(ahead)[0] - _normalised(behind)[0]) / (2 * step))
    numeric = np.array(columns).T
    np.testing.assert_allclose(u * matrix, numeric, rtol=0, atol=1e-8)
    assert np.abs(u * (matrix + 1) - numeric).max() > 1e-2


def test_the_facts_in_floating_point(column: tuple[Floats, Floats, float], matrix: Floats) -> None:
    _, hat, variance = column
    slow = SIZE * EPSILON / (variance + EPSILON)
    dy = np.random.default_rng(8).normal(size=SIZE)
    pairs = (
        (matrix, matrix.T),
        (matrix @ np.ones(SIZE), np.zeros(SIZE)),
        (matrix @ hat, slow * hat),
        (matrix @ matrix, SIZE * matrix - slow * np.outer(hat, hat)),
        (np.trace(matrix), _number(facts()["the trace of R"].rhs, hat, variance)),
        (dy @ matrix, SIZE * dy - dy.sum() - hat * (dy @ hat)),
    )
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


def test_the_spectrum_in_floating_point(
    column: tuple[Floats, Floats, float], matrix: Floats
) -> None:
    _, hat, variance = column
    spectrum = jacobian().spectrum
    assert spectrum is not None
    said = [
        _number(e.value, hat, variance)
        for e in spectrum.eigenvalues
        for _ in range(int(_number(e.multiplicity, hat, variance)))
    ]
    assert len(said) == SIZE
    np.testing.assert_allclose(sorted(said), np.linalg.eigvalsh(matrix), rtol=0, atol=1e-11)
    assert np.linalg.matrix_rank(matrix, tol=1e-9) == _number(spectrum.rank(), hat, variance)
    unit = hat * np.sqrt((variance + EPSILON) / variance)  # what x̂ is where ε = 0
    limit = SIZE * np.eye(SIZE) - 1 - np.outer(unit, unit)
    without = _number(spectrum.rank(vanishing=(eps,)), hat, variance)
    assert np.linalg.matrix_rank(limit, tol=1e-9) == without == SIZE - 2


# --- Two reduced axes -----------------------------------------------------------------------------


def test_two_reduced_axes() -> None:
    """Images: the row of the Jacobian is a pair of indices, and m becomes a product of sizes."""
    r = Axis("r", "H")
    image, hat, out = (Var(label, n, c, r) for label in ("x", "x_hat", "y"))
    mu, spread = BATCH_NORM["mu"].var, BATCH_NORM["var"].var
    layer = Layer(
        name="images",
        title="Batch Norm of images",
        source="this test",
        data=image,
        learnt=(gamma, beta),
        parameters=(eps,),
        definitions=(
            Definition(mu, mean(image, n, r)),
            Definition(spread, mean((image - mu) ** 2, n, r)),
            Definition(hat, (image - mu) * Pow(spread + eps, -HALF)),
            Definition(out, gamma * hat + beta),
        ),
    )
    found = derive(layer).jacobian
    assert found is not None
    size, r1 = n.size * r.size, r.prime()
    assert (found.rows, found.columns) == ((n, r), (n1, r1))
    form = NormalForm(chart_of(layer), {"u": found.u, "R": found.R})
    row = size * Delta(n, n1) * Delta(r, r1) - 1 - hat * hat.at(n1, c, r1)
    assert form.zero(found.R.expr - row)
    assert form.zero(found.u.expr - gamma / (size * Pow(spread + eps, HALF)))
    assert form.zero(SumOver(found.R.var, n1, r1))
    assert form.zero(found.entry.closed - found.u.var * found.R.var)
    assert found.spectrum is not None
    assert canonical(found.spectrum.rank()) == size - 1
