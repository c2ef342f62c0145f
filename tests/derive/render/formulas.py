"""Formulas built by hand, one name each, for the tests of every renderer."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, Integer, Rational, exp

from derive.expr import Axis, Delta, SumOver, Var, add, adjoint, mean, mul, tangent
from derive.render import PAPER, ByCase, JacobianEntry, Notation, notation

n, c = Axis("n", "m"), Axis("c", "C")
n1 = n.prime()
x, gamma, beta = Var("x", n, c), Var("gamma", c), Var("beta", c)
eps = Var("eps", positive=True)
mu, var = Var("mu", c), Var("var", c, nonnegative=True)
x_hat, y = Var("x_hat", n, c), Var("y", n, c)
m = n.size
u, r = Var("u", c), Var("R", n, n1, c)
ONE = Integer(1)
PLAIN = notation("plain")


@dataclass(frozen=True)
class Formula:
    """An equation and how it is to be printed."""

    lhs: Expr | JacobianEntry
    rhs: Expr | ByCase
    shown: tuple[str, ...] = ("n",)
    notation: Notation = PAPER


def minus(*factors: Expr | int) -> Expr:
    return mul(-1, *factors)


def centred() -> Expr:
    return add(x, minus(mu))


def spread(exponent: Expr) -> Expr:
    return add(var, eps) ** exponent


HALF = Rational(1, 2)
DX = add(
    mul(m, adjoint(y)),
    minus(SumOver(adjoint(y), n)),
    minus(x_hat, SumOver(mul(adjoint(y), x_hat), n)),
)
ENTRY = add(mul(m, Delta(n, n1)), -1, minus(x_hat, x_hat.at(n1, c)))

BATCH_NORM = {
    "mu": Formula(mu, mean(x, n)),
    "var": Formula(var, mean(centred() ** 2, n)),
    "x_hat": Formula(x_hat, mul(centred(), spread(-HALF))),
    "y": Formula(y, add(mul(gamma, x_hat), beta)),
    "dx_hat": Formula(adjoint(x_hat), mul(adjoint(y), gamma)),
    "dvar": Formula(
        adjoint(var),
        SumOver(mul(adjoint(x_hat), centred(), -HALF, spread(Rational(-3, 2))), n),
    ),
    "dmu": Formula(
        adjoint(mu),
        add(
            SumOver(minus(adjoint(x_hat), spread(-HALF)), n),
            mul(adjoint(var), SumOver(mul(-2, centred(), m**-1), n)),
        ),
    ),
    "dx": Formula(
        adjoint(x),
        add(
            mul(adjoint(x_hat), spread(-HALF)),
            mul(adjoint(var), 2, centred(), m**-1),
            mul(adjoint(mu), m**-1),
        ),
    ),
    "dgamma": Formula(adjoint(gamma), SumOver(mul(adjoint(y), x_hat), n)),
    "dbeta": Formula(adjoint(beta), SumOver(adjoint(y), n)),
    "dvar_closed": Formula(
        adjoint(var),
        minus(HALF, gamma, spread(-ONE), SumOver(mul(adjoint(y), x_hat), n)),
    ),
    "dx_closed": Formula(adjoint(x), mul(gamma, m**-1, spread(-HALF), DX)),
    "u": Formula(u, mul(gamma, m**-1, spread(-HALF))),
    "r": Formula(r, ENTRY),
    "jacobian": Formula(JacobianEntry(y, x.at(n1, c)), mul(u, r)),
    "jacobian_full": Formula(
        JacobianEntry(y, x.at(n1, c)), mul(gamma, m**-1, spread(-HALF), ENTRY)
    ),
    "jacobian_mu": Formula(JacobianEntry(mu, x), m**-1),
    "jacobian_var": Formula(JacobianEntry(var, x), mul(2, centred(), m**-1)),
    "jacobian_cases": Formula(
        JacobianEntry(x_hat, x.at(n1, c)),
        ByCase(
            n,
            n1,
            mul(add(m, -1, minus(x_hat**2)), m**-1, spread(-HALF)),
            mul(add(-1, minus(x_hat, x_hat.at(n1, c))), m**-1, spread(-HALF)),
        ),
    ),
    "rows_of_r": Formula(SumOver(r, n1), Integer(0)),
    "r_x_hat": Formula(SumOver(mul(r, x_hat.at(n1, c)), n1), mul(eps, m, x_hat, spread(-ONE))),
    "y_dot": Formula(
        tangent(y),
        mul(
            gamma,
            m**-1,
            spread(-HALF),
            add(
                mul(m, tangent(x)),
                minus(SumOver(tangent(x), n)),
                minus(x_hat, SumOver(mul(tangent(x), x_hat), n)),
            ),
        ),
    ),
}

# Layer Norm: rows n, features c; the features are reduced.
ln, lc = Axis("n", "N"), Axis("c", "m")
lx, ly, lx_hat = (Var(label, ln, lc) for label in ("x", "y", "x_hat"))
lgamma, lvar, lmu = Var("gamma", lc), Var("var", ln, nonnegative=True), Var("mu", ln)
mean_square = Var("mean_square", ln, nonnegative=True)
LAYER_NORM = {
    "dgamma": Formula(adjoint(lgamma), SumOver(mul(adjoint(ly), lx_hat), ln), ("c", "n"), PLAIN),
    "dx": Formula(
        adjoint(lx),
        mul(
            lc.size**-1,
            add(lvar, eps) ** -HALF,
            add(
                mul(lc.size, adjoint(ly), lgamma),
                minus(SumOver(mul(adjoint(ly), lgamma), lc)),
                minus(lx_hat, SumOver(mul(adjoint(ly), lgamma, lx_hat), lc)),
            ),
        ),
        ("c", "n"),
        PLAIN,
    ),
    "rms": Formula(lx_hat, mul(lx, add(mean_square, eps) ** -HALF), ("c", "n"), PLAIN),
    "var": Formula(lvar, mean(add(lx, minus(lmu)) ** 2, lc), ("c", "n"), PLAIN),
    "loss": Formula(Var("loss"), SumOver(mul(ly, lx_hat**2), ln, lc), ("c", "n"), PLAIN),
}

e, total, p = Var("e", ln, lc), Var("Z", ln), Var("p", ln, lc)
SOFTMAX = {
    "e": Formula(e, exp(lx), ("c",), PLAIN),
    "p": Formula(p, mul(e, total**-1), ("c",), PLAIN),
    "p_full": Formula(p, mul(exp(lx), SumOver(exp(lx), lc) ** -1), ("c",), PLAIN),
    "dx": Formula(
        adjoint(lx),
        mul(p, add(adjoint(p), minus(SumOver(mul(adjoint(p), p), lc)))),
        ("c",),
        PLAIN,
    ),
    "dtotal": Formula(
        adjoint(total), minus(SumOver(mul(adjoint(p), e, total**-2), lc)), ("c",), PLAIN
    ),
}

ALL = {
    f"{layer}: {name}": formula
    for layer, formulas in (
        ("batch norm", BATCH_NORM),
        ("layer norm", LAYER_NORM),
        ("softmax", SOFTMAX),
    )
    for name, formula in formulas.items()
}
