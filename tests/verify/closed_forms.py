"""What the gradients are, typed in by hand for the tests of the oracle to confirm and to damage."""

from __future__ import annotations

from sympy import Expr, Pow

from derive.expr import HALF, Delta, SumOver, Var, add, adjoint, mul, tangent
from derive.layer import Layer
from derive.layers import LAYERS
from verify.exact import Claim


def quantities(layer: Layer) -> dict[str, Var]:
    """Every value of the layer by label."""
    defined = (definition.var for definition in layer)
    return {var.label: var for var in (*layer.inputs, *layer.parameters, *defined)}


def negative(*factors: Expr | int) -> Expr:
    """Minus the product, in the order given."""
    return mul(-1, *factors)


def _batch_norm() -> list[Claim]:
    v = quantities(LAYERS["batch_norm"])
    x, gamma, beta, eps = v["x"], v["gamma"], v["beta"], v["eps"]
    mu, var, x_hat, y = v["mu"], v["var"], v["x_hat"], v["y"]
    n, c = x.axes
    m, n1, c1 = n.size, n.prime(), c.prime()
    dy, dx_hat, dvar = adjoint(y), adjoint(x_hat), adjoint(var)
    x_dot, gamma_dot, beta_dot = tangent(x), tangent(gamma), tangent(beta)
    q = add(var, eps)
    r, centred = Pow(q, -HALF), add(x, negative(mu))
    u = mul(gamma, Pow(m, -1), r)
    row = add(mul(m, Delta(n, n1)), -1, negative(x_hat, x_hat.at(n1, c)))
    projected = add(
        x_dot,
        negative(Pow(m, -1), SumOver(x_dot, n)),
        negative(x_hat, Pow(m, -1), SumOver(mul(x_hat, x_dot), n)),
    )
    staged_dx = add(mul(dx_hat, r), mul(2, Pow(m, -1), centred, dvar), mul(Pow(m, -1), adjoint(mu)))
    sums = add(mul(m, dy), negative(SumOver(dy, n)), negative(x_hat, SumOver(mul(dy, x_hat), n)))
    return [
        Claim("dx", adjoint(x), mul(u, sums)),
        Claim("dx staged", adjoint(x), staged_dx),
        Claim("dgamma", adjoint(gamma), SumOver(mul(dy, x_hat), n)),
        Claim("dbeta", adjoint(beta), SumOver(dy, n)),
        Claim("dx_hat", dx_hat, mul(dy, gamma)),
        Claim(
            "dvar",
            dvar,
            mul(-HALF, SumOver(mul(dx_hat, centred, Pow(q, -3 * HALF)), n)),
        ),
        Claim("dmu", adjoint(mu), negative(SumOver(mul(dx_hat, r), n))),
        Claim("J", y, mul(u, row), wrt=x.at(n1, c)),
        Claim("J of two channels", y, mul(u, row, Delta(c, c1)), wrt=x.at(n1, c1)),
        Claim("dmu/dx", mu, Pow(m, -1), wrt=x),
        Claim("dvar/dx", var, mul(2, centred, Pow(m, -1)), wrt=x),
        Claim("dx_hat/dx", x_hat, mul(Pow(m, -1), r, row), wrt=x.at(n1, c)),
        Claim("dy/dvar", y, mul(-HALF, gamma, centred, Pow(q, -3 * HALF)), wrt=var),
        Claim("x_hat", x_hat, mul(centred, r)),
        Claim(
            "y_dot",
            tangent(y),
            add(mul(gamma_dot, x_hat), beta_dot, mul(gamma, r, projected)),
        ),
    ]


def _layer_norm() -> list[Claim]:
    v = quantities(LAYERS["layer_norm"])
    x, gamma, beta, eps, x_hat = v["x"], v["gamma"], v["beta"], v["eps"], v["x_hat"]
    n, c = x.axes
    m, dy = c.size, adjoint(v["y"])
    r = Pow(add(v["var"], eps), -HALF)
    h = mul(gamma, dy)
    sums = add(mul(m, h), negative(SumOver(h, c)), negative(x_hat, SumOver(mul(h, x_hat), c)))
    dgamma = SumOver(mul(dy, add(x, negative(v["mu"])), r), n)
    return [
        Claim("dx", adjoint(x), mul(Pow(m, -1), r, sums)),
        Claim("dgamma", adjoint(gamma), dgamma),
        Claim("dbeta", adjoint(beta), SumOver(dy, n)),
    ]


def _rms_norm() -> list[Claim]:
    v = quantities(LAYERS["rms_norm"])
    x, gamma, eps, x_hat = v["x"], v["gamma"], v["eps"], v["x_hat"]
    n, c = x.axes
    m, h = c.size, mul(gamma, adjoint(v["y"]))
    r = Pow(add(v["mean_square"], eps), -HALF)
    sums = add(mul(m, h), negative(x_hat, SumOver(mul(h, x_hat), c)))
    return [
        Claim("dx", adjoint(x), mul(Pow(m, -1), r, sums)),
        Claim("dgamma", adjoint(gamma), SumOver(mul(adjoint(v["y"]), x, r), n)),
    ]


def _softmax() -> list[Claim]:
    v = quantities(LAYERS["softmax"])
    x, e, total, p = v["x"], v["e"], v["Z"], v["p"]
    n, c = x.axes
    c1, dp = c.prime(), adjoint(p)
    product = SumOver(mul(dp, p), c)
    return [
        Claim("dx", adjoint(x), mul(p, add(dp, negative(product)))),
        Claim("dZ", adjoint(total), negative(Pow(total, -2), SumOver(mul(dp, e), c))),
        Claim("J", p, mul(p, add(Delta(c, c1), negative(p.at(n, c1)))), wrt=x.at(n, c1)),
        Claim(
            "p_dot",
            tangent(p),
            add(mul(p, tangent(x)), negative(p, SumOver(mul(p, tangent(x)), c))),
        ),
    ]


def _batch_norm_of(name: str) -> list[Claim]:
    """Batch Norm once more, over the mini-batch and over positions: m is a product of sizes."""
    v = quantities(LAYERS[name])
    x, gamma, x_hat, y = v["x"], v["gamma"], v["x_hat"], v["y"]
    axes = tuple(axis for axis in x.axes if axis not in gamma.axes)
    m, dy = mul(*(axis.size for axis in axes)), adjoint(y)
    scale = mul(gamma, Pow(m, -1), Pow(add(v["var"], v["eps"]), -HALF))
    dgamma, dbeta = SumOver(mul(dy, x_hat), *axes), SumOver(dy, *axes)
    dx = mul(scale, add(mul(m, dy), negative(dbeta), negative(x_hat, dgamma)))
    return [
        Claim("dx", adjoint(x), dx),
        Claim("dgamma", adjoint(gamma), dgamma),
        Claim("dbeta", adjoint(v["beta"]), dbeta),
    ]


def _inference() -> list[Claim]:
    v = quantities(LAYERS["batch_norm_inference"])
    x, gamma, y = v["x"], v["gamma"], v["y"]
    n, _ = x.axes
    r, dy = Pow(add(v["variance"], v["eps"]), -HALF), adjoint(y)
    return [
        Claim("dx", adjoint(x), mul(gamma, r, dy)),
        Claim("dgamma", adjoint(gamma), SumOver(mul(dy, r, add(x, negative(v["mean"]))), n)),
        Claim("dbeta", adjoint(v["beta"]), SumOver(dy, n)),
        Claim("dy/dx", y, mul(gamma, r, Delta(n, n.prime())), x.at(n.prime(), *x.axes[1:])),
    ]


CLAIMS: dict[str, list[Claim]] = {
    "batch_norm": _batch_norm(),
    "batch_norm_1d": _batch_norm_of("batch_norm_1d"),
    "batch_norm_2d": _batch_norm_of("batch_norm_2d"),
    "batch_norm_3d": _batch_norm_of("batch_norm_3d"),
    "batch_norm_inference": _inference(),
    "layer_norm": _layer_norm(),
    "rms_norm": _rms_norm(),
    "softmax": _softmax(),
}
