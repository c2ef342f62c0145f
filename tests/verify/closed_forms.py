"""What the gradients are, typed in by hand for the tests of the oracle to confirm and to damage."""

from __future__ import annotations

from sympy import Expr, Pow

from derive.expr import HALF, Delta, SumOver, Var, add, adjoint, mul, rename, tangent
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


def _group_norm() -> list[Claim]:
    v = quantities(LAYERS["group_norm"])
    x, gamma, x_hat, y = v["x"], v["gamma"], v["x_hat"], v["y"]
    n, g, c, s = x.axes
    c1, s1, dy = c.prime(), s.prime(), adjoint(y)
    m, h = mul(c.size, s.size), mul(gamma, dy)
    r = Pow(add(v["var"], v["eps"]), -HALF)
    sums = [SumOver(h, c, s), SumOver(mul(h, x_hat), c, s)]
    row = add(mul(m, Delta(c, c1), Delta(s, s1)), -1, negative(x_hat, x_hat.at(n, g, c1, s1)))
    return [
        Claim(
            "dx",
            adjoint(x),
            mul(Pow(m, -1), r, add(mul(m, h), negative(sums[0]), negative(x_hat, sums[1]))),
        ),
        Claim("dgamma", adjoint(gamma), SumOver(mul(dy, x_hat), n, s)),
        Claim("dbeta", adjoint(v["beta"]), SumOver(dy, n, s)),
        Claim("dmu", adjoint(v["mu"]), negative(r, sums[0])),
        Claim("dvar", adjoint(v["var"]), mul(-HALF, r, r, sums[1])),
        Claim("J", y, mul(gamma, Pow(m, -1), r, row), wrt=x.at(n, g, c1, s1)),
    ]


def _instance_norm() -> list[Claim]:
    v = quantities(LAYERS["instance_norm"])
    x, gamma, x_hat, y = v["x"], v["gamma"], v["x_hat"], v["y"]
    n, c, s = x.axes
    m, s1, dy = s.size, s.prime(), adjoint(y)
    u = mul(gamma, Pow(m, -1), Pow(add(v["var"], v["eps"]), -HALF))
    sums = add(mul(m, dy), negative(SumOver(dy, s)), negative(x_hat, SumOver(mul(dy, x_hat), s)))
    row = add(mul(m, Delta(s, s1)), -1, negative(x_hat, x_hat.at(n, c, s1)))
    return [
        Claim("dx", adjoint(x), mul(u, sums)),
        Claim("dgamma", adjoint(gamma), SumOver(mul(dy, x_hat), n, s)),
        Claim("dbeta", adjoint(v["beta"]), SumOver(dy, n, s)),
        Claim("J", y, mul(u, row), wrt=x.at(n, c, s1)),
    ]


def _weight_standardisation() -> list[Claim]:
    v = quantities(LAYERS["weight_standardisation"])
    W, W_hat, dW_hat = v["W"], v["W_hat"], adjoint(v["W_hat"])  # noqa: N806 - their names
    _, k = W.axes
    m, r = k.size, Pow(add(v["var"], v["eps"]), -HALF)
    weighted = negative(W_hat, SumOver(mul(dW_hat, W_hat), k))
    sums = add(mul(m, dW_hat), negative(SumOver(dW_hat, k)), weighted)
    return [
        Claim("dW", adjoint(W), mul(Pow(m, -1), r, sums)),
        Claim("dmu", adjoint(v["mu"]), negative(r, SumOver(dW_hat, k))),
    ]


def _l2_normalise() -> list[Claim]:
    v = quantities(LAYERS["l2_normalise"])
    x, y, square_norm = v["x"], v["y"], v["square_norm"]
    n, c = x.axes
    c1, dy, q = c.prime(), adjoint(y), add(square_norm, v["eps"])
    r = Pow(q, -HALF)
    return [
        Claim("dx", adjoint(x), mul(r, add(dy, negative(y, SumOver(mul(dy, y), c))))),
        Claim("dsquare_norm", adjoint(square_norm), mul(-HALF, SumOver(mul(dy, y), c), Pow(q, -1))),
        Claim("J", y, mul(r, add(Delta(c, c1), negative(y, y.at(n, c1)))), wrt=x.at(n, c1)),
    ]


def _log_softmax() -> list[Claim]:
    v = quantities(LAYERS["log_softmax"])
    x, p, y = v["x"], v["p"], v["y"]
    n, c = x.axes
    c1, dy, x_dot = c.prime(), adjoint(y), tangent(x)
    return [
        Claim("dx", adjoint(x), add(dy, negative(p, SumOver(dy, c)))),
        Claim("J", y, add(Delta(c, c1), negative(p.at(n, c1))), wrt=x.at(n, c1)),
        Claim("y_dot", tangent(y), add(x_dot, negative(SumOver(mul(p, x_dot), c)))),
    ]


def _softmax_cross_entropy() -> list[Claim]:
    v = quantities(LAYERS["softmax_cross_entropy"])
    x, p, t, dL = v["x"], v["p"], v["t"], adjoint(v["L"])  # noqa: N806 - its name
    n, c = x.axes
    c1 = c.prime()
    slope = add(mul(p, SumOver(t, c)), negative(t))
    return [
        Claim("dx", adjoint(x), mul(dL, slope)),
        Claim("dL/dx", v["L"], rename(slope, {c: c1}), wrt=x.at(n, c1)),
        Claim("L_dot", tangent(v["L"]), SumOver(mul(slope, tangent(x)), c)),
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
    "group_norm": _group_norm(),
    "instance_norm": _instance_norm(),
    "l2_normalise": _l2_normalise(),
    "weight_standardisation": _weight_standardisation(),
    "softmax": _softmax(),
    "log_softmax": _log_softmax(),
    "softmax_cross_entropy": _softmax_cross_entropy(),
}
