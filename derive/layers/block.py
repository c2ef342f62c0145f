"""Linear layer, Batch Normalisation and activation in one block, samples in columns.

    Z = WA + b,  Z̃ = γ(Z − μ)/√(σ² + ε) + β,  A′ = g(Z̃)

The 2015 paper normalises between the linear layer and the activation (section 3.2); the other
placement, behind the activation, is here too.  g is any function, or one of a few known ones.
"""

from collections.abc import Callable

from sympy import Expr, sqrt, tanh

from derive.expr import Axis, Definition, SumOver, Var, mean
from derive.functions import Activation, Relu, Sigmoid
from derive.layer import Layer

n, c, k = Axis("n", "m"), Axis("c", "C"), Axis("k", "K")
A, W, b = Var("A", k, n), Var("W", c, k), Var("b", c)
gamma, beta, eps = Var("gamma", c), Var("beta", c), Var("eps", positive=True)
Z, Z_hat, Z_tilde, G, A_out = (
    Var(label, c, n) for label in ("Z", "Z_hat", "Z_tilde", "G", "A_out")
)
mu, var = Var("mu", c), Var("var", c, nonnegative=True)

Function = Callable[[Expr], Expr]
SOURCE = "Ioffe & Szegedy 2015, section 3.2"


def _normalised(x: Var) -> tuple[Definition, ...]:
    return (
        Definition(mu, mean(x, n), "mini-batch mean"),
        Definition(var, mean((x - mu) ** 2, n), "mini-batch variance"),
        Definition(Z_hat, (x - mu) / sqrt(var + eps), "normalise"),
    )


def _layer(name: str, title: str, between: Var, *definitions: Definition) -> Layer:
    linear = Definition(Z, SumOver(W * A, k) + b, "linear layer")
    return Layer(
        name=name,
        title=title,
        source=SOURCE,
        data=A,
        learnt=(W, b, gamma, beta),
        parameters=(eps,),
        definitions=(linear, *definitions),
        stages=(Z, between),
    )


def _before(name: str, what: str, g: Function) -> Layer:
    return _layer(
        name,
        f"Linear layer, Batch Norm{what}",
        Z_tilde,
        *_normalised(Z),
        Definition(Z_tilde, gamma * Z_hat + beta, "scale and shift"),
        Definition(A_out, g(Z_tilde), "activation"),
    )


def _behind(name: str, what: str, g: Function) -> Layer:
    return _layer(
        name,
        f"Linear layer, {what}, Batch Norm",
        G,
        Definition(G, g(Z), "activation"),
        *_normalised(G),
        Definition(A_out, gamma * Z_hat + beta, "scale and shift"),
    )


BLOCK = _before("block", ", activation", Activation)
BLOCK_BEHIND = _behind("block_behind", "activation", Activation)
BLOCKS = (
    BLOCK,
    _before("block_identity", "", lambda a: a),
    _before("block_sigmoid", ", sigmoid", Sigmoid),
    _before("block_tanh", ", tanh", tanh),
    _before("block_relu", ", ReLU", Relu),
    BLOCK_BEHIND,
)
