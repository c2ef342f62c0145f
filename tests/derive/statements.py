"""Everything that a derivation states, as claims for the exact oracle."""

from __future__ import annotations

from functools import cache

from sympy import Expr

from derive.derivation import Derivation, derive
from derive.expr import SumOver, add, mul, rename, substitute
from derive.layers import LAYERS
from tests.altered import ALTERED
from verify.exact import Claim
from verify.references import REFERENCES, Reference

ALL = {
    **{name: (layer, REFERENCES[name]) for name, layer in LAYERS.items()},
    **ALTERED,
}


@cache
def derivation_of(name: str) -> Derivation:
    """Derived once for all tests: a Derivation is frozen."""
    return derive(ALL[name][0])


def reference_of(name: str) -> Reference:
    return ALL[name][1]


def claims(derivation: Derivation) -> list[Claim]:
    """Staged and closed adjoints, every step on the way, the tangent, the Jacobian, the facts."""
    stated = [Claim(d.var.label, d.var, d.expr) for d in derivation.layer]
    for result in derivation.adjoints:
        forms = [result.start, *(step.after for step in result.steps)]
        stated += [Claim(f"{result.var} {k}", result.var, form) for k, form in enumerate(forms)]
    stated.append(Claim("tangent", derivation.tangent.var, derivation.tangent.closed))
    for result in derivation.entries():
        entry = result.entry
        assert entry is not None
        stated.append(Claim(f"{entry.of}/{entry.wrt}", entry.of, result.closed, entry.wrt))
    for fact in derivation.all_facts():
        stated.append(equality(derivation, str(fact.says), fact.lhs, fact.rhs))
        stated += [equality(derivation, s.rule, s.before, s.after) for s in fact.steps]
    return stated + _spectrum(derivation)


def equality(derivation: Derivation, name: str, lhs: Expr, rhs: Expr) -> Claim:
    """lhs = rhs, as ∂y/∂x = uR + lhs − rhs, which may use both indices of R; else as y = y + …"""
    jacobian = derivation.jacobian
    if jacobian is None:
        output = derivation.layer.definitions[-1]
        return Claim(name, output.var, add(output.expr, lhs, mul(-1, rhs)))
    entry = jacobian.entry.entry
    assert entry is not None
    names = {"u": jacobian.u, "R": jacobian.R}
    both = add(mul(jacobian.u.var, jacobian.R.var), lhs, mul(-1, rhs))
    return Claim(name, entry.of, substitute(both, names), entry.wrt)


def _spectrum(derivation: Derivation) -> list[Claim]:
    """R applied to each eigenvector."""
    jacobian = derivation.jacobian
    if jacobian is None:
        return []
    moved = dict(zip(jacobian.rows, jacobian.columns, strict=True))
    stated = []
    for eigenvalue in jacobian.spectrum.eigenvalues if jacobian.spectrum else ():
        if eigenvalue.vector is not None:
            there = rename(eigenvalue.vector, moved)
            image = SumOver(mul(jacobian.R.var, there), *jacobian.columns)
            multiple = mul(eigenvalue.value, eigenvalue.vector)
            stated.append(equality(derivation, f"R {eigenvalue.vector}", image, multiple))
    return stated
