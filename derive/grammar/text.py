"""A layer as the text of a layer file: the inverse of parsing."""

from __future__ import annotations

from sympy import Add, Expr, Function, Integer, Mul, Pow, Rational, Symbol, exp
from sympy.core.numbers import Exp1

from derive.errors import InputError
from derive.expr import HALF, Axis, SumOver, Var
from derive.grammar.elaborate import APPLIED
from derive.grammar.layer_file import parse_layer
from derive.layer import Layer

_NAMES = {function: name for name, function in APPLIED.items()}


def to_text(layer: Layer) -> str:
    """The text of a layer file that is read back as the same layer.

    Raises InputError for a layer that the format cannot carry: one with other functions, with signs
    that do not follow from its definitions, or with a note that contains a #.
    """
    axes = [*layer.data.axes, *(axis for axis in layer.axes if axis not in layer.data.axes)]
    lines = [f"layer {layer.name}: {layer.title}"]
    if layer.source:
        lines.append(f"source: {layer.source}")
    if axes:
        lines.append("axes: " + ", ".join(f"{axis.name} ({axis.size.name})" for axis in axes))
    declarations = [*map(_input, layer.inputs), *map(_parameter, layer.parameters)]
    lines.append("; ".join(declarations))
    for definition in layer:
        line = f"{_quantity(definition.var)} = {written(definition.expr)}"
        lines.append(f"{line} : {definition.note}" if definition.note else line)
    if layer.stages:
        lines.append("stages: " + ", ".join(var.label for var in layer.stages))
    text = "\n".join(lines) + "\n"
    if parse_layer(text) != layer:
        raise InputError(
            f"{layer.name} cannot be written as text: its names, notes, signs or order of factors "
            "would not be read back as they are"
        )
    return text


def _quantity(var: Var) -> str:
    return f"{var.label}[{', '.join(axis.name for axis in var.axes)}]" if var.axes else var.label


def _sign(var: Var) -> str:
    return " > 0" if var.is_positive else " >= 0" if var.is_nonnegative else ""


def _input(var: Var) -> str:
    sign = _sign(var)
    return _quantity(var) + ("[]" if sign and not var.axes else "") + sign


def _parameter(var: Var) -> str:
    sign = _sign(var)
    return ("" if sign and not var.axes else "constant ") + _quantity(var) + sign


# --- Expressions ---------------------------------------------------------------------------------


def written(expr: Expr) -> str:
    """An expression in the format's syntax, without explicit indices.  Raises InputError."""
    if isinstance(expr, Add):
        first, *others = expr.args
        return written(first) + "".join(map(_further, others))
    if isinstance(expr, Mul | Rational | Pow) and not isinstance(expr, exp):
        return _product(expr)
    return _atom(expr)


def _further(term: Expr) -> str:
    text = _factor(term) if isinstance(term, Add) else written(term)
    return f" - {text[1:]}" if text.startswith("-") else f" + {text}"


def _product(expr: Expr) -> str:
    number, rest = expr.as_coeff_Mul()
    factors = _with_means(list(Mul.make_args(rest)))
    over = [f for f in factors if not isinstance(f, tuple) and f != 1 and not _divides(f)]
    under = [1 / f for f in factors if not isinstance(f, tuple) and _divides(f)]
    above = [_mean(*f) for f in factors if isinstance(f, tuple)] + [_factor(f) for f in over]
    if abs(number.p) != 1 or not above:
        above.insert(0, str(abs(number.p)))
    below = [_factor(f) for f in under]
    if number.q != 1:
        below.insert(0, str(number.q))
    text = " * ".join(above)
    if below:
        text += " / " + (below[0] if len(below) == 1 else f"({' * '.join(below)})")
    return "-" * bool(number < 0) + text


def _divides(factor: Expr) -> bool:
    return isinstance(factor, Pow) and bool(factor.exp.is_Rational and factor.exp < 0)


def _with_means(factors: list[Expr]) -> list[Expr | tuple[Expr, tuple[Axis, ...]]]:
    """The factors, with Σ and the sizes that divide it taken together as a mean."""
    for total in factors:
        if isinstance(total, SumOver):
            sizes = [Pow(axis.size, -1) for axis in total.axes]
            if all(size in factors for size in sizes):
                rest = [f for f in factors if f != total and f not in sizes]
                return [(total.body, total.axes), *rest]
    return list(factors)


def _mean(body: Expr, axes: tuple[Axis, ...]) -> str:
    return f"mean[{', '.join(axis.name for axis in axes)}]({written(body)})"


def _factor(expr: Expr) -> str:
    """In parentheses, if it would fall apart in a product."""
    if isinstance(expr, Pow) and not isinstance(expr, exp):
        return _power(expr.base, expr.exp)
    return f"({written(expr)})" if isinstance(expr, Add) else written(expr)


def _power(base: Expr, exponent: Expr) -> str:
    if exponent == HALF:
        return f"sqrt({written(base)})"
    if not exponent.is_Rational:
        raise InputError(
            f"the power {exponent} cannot be written: an exponent is a rational number"
        )
    plain = isinstance(base, Var | SumOver | Function) or type(base) is Symbol
    inside = written(base) if plain or (base.is_Integer and base >= 0) else f"({written(base)})"
    return f"{inside}^{exponent}" if exponent.is_Integer else f"{inside}^({exponent})"


def _atom(expr: Expr) -> str:
    if isinstance(expr, Var):
        return expr.label
    if isinstance(expr, SumOver):
        return f"sum[{', '.join(axis.name for axis in expr.axes)}]({written(expr.body)})"
    if type(expr) in _NAMES:
        return f"{_NAMES[type(expr)]}({', '.join(map(written, expr.args))})"
    if isinstance(expr, Exp1):
        return f"exp({Integer(1)})"
    if type(expr) is Symbol:
        return str(expr.name)
    raise InputError(f"{type(expr).__name__} cannot be written in a layer file: {expr}")
