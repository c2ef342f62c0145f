"""Products by a name of their own: γ·dy, where γ varies along the reduction.

There γ stays inside every sum.  A formula of a higher order mentions dy only as γ dy and v_dγ dy
then, and with these by name it needs no more sums than where γ is a factor of all.  γ dy has a name
already: it is ∂ℓ/∂x̂.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr, Mul

from derive.derivation import Derivation
from derive.expr import (
    Axis,
    Definition,
    Delta,
    Var,
    adjoint,
    mul,
    rebuild,
)


def weighted(derivation: Derivation, weights: Sequence[Var]) -> tuple[Definition, ...]:
    """∂ℓ/∂y times each of the ``weights`` that varies along the reduction, by name."""
    layer = derivation.layer
    dy, reduced = adjoint(layer.output), set(layer.reduced_axes)
    return tuple(
        Definition(_name(weight, dy, derivation), mul(dy, weight), "weighted")
        for weight in weights
        if reduced & set(weight.axes)
    )


def _name(weight: Var, dy: Var, derivation: Derivation) -> Var:
    """That of the adjoint which is this product, if there is one."""
    product = mul(dy, weight)
    for result in derivation.adjoints:
        if isinstance(result.closed, Mul) and set(result.closed.args) == set(product.args):
            return result.var
    return Var(f"{weight.label}_{dy.label}", *dy.axes)


def with_products(expr: Expr, products: Sequence[Definition]) -> Expr:
    """An expanded formula with each product by its name wherever both factors stand together."""

    def visit(node: Expr) -> Expr:
        if isinstance(node, Delta | Var) or not node.args:
            return node
        args = [visit(arg) for arg in node.args]
        if isinstance(node, Mul):
            for product in products:
                args = _merged(args, product)
        return rebuild(node, args)

    return visit(expr)


def _merged(args: list[Expr], product: Definition) -> list[Expr]:
    """The factors, with the product in the place of its two."""
    first, second = product.expr.args
    for one in (a for a in args if isinstance(a, Var) and a.label == first.label):
        indices: dict[Axis, Axis] = dict(zip(first.axes, one.axes, strict=True))
        other = second.at(*(indices[axis] for axis in second.axes))
        if other in args:
            rest = [arg for arg in args if arg not in (one, other)]
            return [*rest, product.var.at(*one.axes)]
    return args
