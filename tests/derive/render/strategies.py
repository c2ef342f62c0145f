"""Random expressions whose values are finite reals."""

from __future__ import annotations

from hypothesis import strategies as st
from sympy import Expr, Integer, Rational, exp, log, tanh

from derive.expr import Delta, SumOver, add, adjoint, mul, tangent
from tests.derive.render.formulas import (
    beta,
    eps,
    gamma,
    m,
    mu,
    n,
    n1,
    r,
    spread,
    u,
    var,
    x,
    x_hat,
)

_LEAVES: list[Expr] = [
    *(m, mu, var, gamma, beta, eps, u, r, x, x_hat, x_hat.at(n1, x.axes[1])),
    *(adjoint(x), adjoint(x_hat), adjoint(var), tangent(x), tangent(var), Delta(n, n1)),
]
_POSITIVE: list[Expr] = [m, var, eps, gamma, x, add(var, eps), mul(m, add(var, eps))]

_POSITIVE += [SumOver(exp(x), n), spread(Rational(1, 2)), adjoint(x)]
_RATIONALS = [Rational(*pair) for pair in ((-1, 1), (2, 1), (-1, 2), (3, 4), (-5, 3))]
_EXPONENTS = [Rational(*pair) for pair in ((-1, 1), (-1, 2), (1, 2), (-3, 2), (3, 2), (-2, 1))]

_leaf = st.one_of(
    st.sampled_from(_LEAVES),
    st.sampled_from(_RATIONALS),
    st.builds(pow, st.sampled_from(_POSITIVE), st.sampled_from(_EXPONENTS)),
)


def _grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    some = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        some.map(lambda terms: add(*terms)),
        some.map(lambda factors: mul(*factors)),
        inner.map(lambda body: SumOver(body, n)),
        inner.map(lambda body: SumOver(body, n1)),
        inner.map(lambda body: body ** Integer(2)),
        inner.map(lambda body: exp(tanh(body))),
        inner.map(lambda body: log(add(2, tanh(body)))),
    )


expressions: st.SearchStrategy[Expr] = st.recursive(_leaf, _grow, max_leaves=8)
