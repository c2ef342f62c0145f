"""What a certificate proves, in lines of text: its definitions, assumptions and closed forms."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from verify.checker.formulas import POSITIVE
from verify.checker.replay import Checker
from verify.checker.terms import Expr

SUM, PRODUCT, ATOM = 0, 1, 2  # how tightly a formula is bound


def statement(checker: Checker) -> Iterator[str]:
    """The theorem: where the definitions hold, these are the gradients."""
    names = checker.names
    yield "Definitions"
    for name, expr in names.defined.items():
        yield f"  {at(names.var(name))} = {line(expr, names.sizes)}"
    signs = [f"{n} {_more_than(names.given[n])} 0" for n in sorted(names.needed)]
    signs += [f"{line(expr, names.sizes)} > 0" for expr in checker.conditions]
    if signs:
        yield f"  where {', '.join(signs)}"
    yield f"Gradients of any loss l with d{checker.output} = dl/d{checker.output}"
    for name, closed in checker.gradients.items():
        own = ("var", f"d{name}", *names.indices[name])
        yield f"  {at(own)} = {line(closed, names.sizes)}"


def _more_than(sign: int) -> str:
    return ">" if sign == POSITIVE else ">="


def at(var: Expr) -> str:
    _, name, *indices = var
    return f"{name}[{','.join(indices)}]" if indices else name


def line(expr: Expr, sizes: dict[str, str], within: int = SUM) -> str:
    """A formula in one line, in brackets where it is bound more tightly ``within`` another."""
    if isinstance(expr, int | Fraction):
        whole = Fraction(expr).denominator == 1 and expr >= 0
        return str(expr) if whole or within == SUM else f"({expr})"
    kind, *args = expr
    if kind == "var":
        return at(expr)
    if kind == "size":
        return sizes[args[0]]
    if kind == "delta":
        return f"delta[{','.join(args)}]"
    if kind == "sum":
        return f"sum[{','.join(args[1:])}]({line(args[0], sizes)})"
    if kind == "fn":
        return f"{args[0]}({line(args[1], sizes)})"
    if kind == "pow":
        exponent = Fraction(args[1], args[2])
        shown = str(exponent) if exponent >= 0 and args[2] == 1 else f"({exponent})"
        text = f"{line(args[0], sizes, ATOM)}^{shown}"
        return f"({text})" if within == ATOM else text
    if kind == "mul":
        return _product(args, sizes, within)
    text = " + ".join(line(arg, sizes) for arg in args).replace(" + -", " - ")
    return f"({text})" if within else text


def _product(factors: list[Expr], sizes: dict[str, str], within: int) -> str:
    """Negative powers below the line, and a minus before it."""
    minus = factors[0] == -1
    below = [f for f in factors if isinstance(f, tuple) and f[0] == "pow" and f[2] < 0]
    above = [f for f in factors[minus:] if f not in below]
    text = "*".join(line(f, sizes, PRODUCT) for f in above) or "1"
    turned = [f[1] if f[2:] == (-1, 1) else ("pow", f[1], -f[2], f[3]) for f in below]
    if turned:
        alone = len(turned) == 1 and isinstance(turned[0], tuple) and turned[0][0] == "mul"
        under = "*".join(line(f, sizes, ATOM if alone else PRODUCT) for f in turned)
        text += f"/({under})" if len(turned) > 1 else f"/{under}"
    return f"({'-' * minus}{text})" if within == ATOM or (within and minus) else "-" * minus + text
