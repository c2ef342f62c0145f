"""A typeset tree as LaTeX, for mathematics mode; amsmath is needed for cases only."""

from __future__ import annotations

import re
from itertools import pairwise

from derive.render.notation import INDEX_ABOVE
from derive.render.tree import (
    Call,
    Case,
    Cases,
    Differential,
    Dots,
    Equation,
    Fraction,
    Group,
    Matrix,
    Name,
    Node,
    Number,
    Power,
    Product,
    Root,
    Terms,
    Total,
)


def to_latex(tree: Node) -> str:
    """The tree in LaTeX.  Raises TypeError for a node that it does not know."""
    match tree:
        case Number(value):
            return str(value)
        case Name():
            return _name(tree)
        case Terms((first, *others)):
            return (
                ("-" if first.negative else "")
                + to_latex(first.body)
                + "".join(
                    f" {'-' if term.negative else '+'} {to_latex(term.body)}" for term in others
                )
            )
        case Product((first, *others)):
            factors = pairwise((first, *others))
            rest = (r" \, " * run_together(a, b) or " " for a, b in factors)
            return to_latex(first) + "".join(
                space + to_latex(factor) for space, factor in zip(rest, others, strict=True)
            )
        case Fraction(over, under):
            return rf"\frac{{{to_latex(over)}}}{{{to_latex(under)}}}"
        case Power(base, exponent):
            return f"{to_latex(base)}^{_script(_exponent(exponent))}"
        case Root(body):
            return rf"\sqrt{{{to_latex(body)}}}"
        case Group(body):
            return _in_parentheses(body)
        case Call(function, arguments):
            return function.latex + _in_parentheses(*arguments)
        case Total(index, size, body):
            return rf"\sum_{{{index}=1}}^{{{to_latex(size)}}} {to_latex(body)}"
        case Differential(over, under):
            return rf"\frac{{\partial {to_latex(over)}}}{{\partial {to_latex(under)}}}"
        case Cases(cases):
            apart = r" \\[4ex] " if is_tall(tree) else r" \\ "
            return rf"\begin{{cases}} {apart.join(map(_case, cases))} \end{{cases}}"
        case Matrix(rows):
            lines = r" \\ ".join(" & ".join(map(to_latex, row)) for row in rows)
            return rf"\begin{{pmatrix}} {lines} \end{{pmatrix}}"
        case Dots(towards):
            return {"right": r"\cdots", "below": r"\vdots", "diagonal": r"\ddots"}[towards]
        case Equation(left, right):
            return f"{to_latex(left)} = {to_latex(right)}"
        case _:
            raise TypeError(f"no LaTeX for {type(tree).__name__}")


def run_together(left: Node, right: Node) -> bool:
    """Whether two factors side by side would look like one word: eps inv_std."""
    ends, begins = _outer(left, -1), _outer(right, 0)
    names = isinstance(ends, Name) and isinstance(begins, Name)
    return names and (_is_word(ends) or _is_word(begins))


def _outer(node: Node, place: int) -> Node:
    """The name that a product or a power ends (-1) or begins (0) with, as far as it shows."""
    if isinstance(node, Product):
        return _outer(node.factors[place], place)
    return _outer(node.base, place) if isinstance(node, Power) else node


def _is_word(node: Node) -> bool:
    """Whether a name has more than one letter, whatever its font."""
    if not isinstance(node, Name):
        return False
    return len(re.sub(r"\\[A-Za-z]+|[{}^_]", "", node.symbol.latex)) > 1


def _name(name: Name) -> str:
    below, above = scripts(name)
    subscript = f"_{_script(below)}" if below else ""
    if name.symbol.square and name.dot:
        return rf"\dot{{({name.symbol.latex}{subscript}^2)}}"
    core = rf"\dot{{{name.symbol.latex}}}" if name.dot else name.symbol.latex
    return core + subscript + (f"^{_script(above)}" if above else "")


def scripts(name: Name) -> tuple[str, str]:
    """What stands below a name and above it, in LaTeX."""
    symbol = name.symbol
    index = "".join(name.index) or symbol.subscript
    if symbol.superscript.endswith(INDEX_ABOVE):
        return "", symbol.superscript.replace(INDEX_ABOVE, f"({index})" * bool(index))
    return index, symbol.superscript or "2" * symbol.square


def _script(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


def _exponent(exponent: Node) -> str:
    """3/2 stays in one line."""
    match exponent:
        case Fraction(Number(over), Number(under)):
            return f"{over}/{under}"
    return to_latex(exponent)


def _in_parentheses(*bodies: Node) -> str:
    text = ", ".join(map(to_latex, bodies))
    return rf"\left({text}\right)" if any(map(is_tall, bodies)) else f"({text})"


def is_tall(node: Node) -> bool:
    """Whether something in the node is more than a line high."""
    match node:
        case Fraction() | Total() | Differential() | Matrix():
            return True
        case Cases(cases):
            return any(is_tall(case.body) for case in cases)
        case Terms(terms):
            return any(is_tall(term.body) for term in terms)
        case Product(nodes) | Call(_, nodes):
            return any(map(is_tall, nodes))
        case Power(body, _) | Root(body) | Group(body):
            return is_tall(body)
    return False


def _case(case: Case) -> str:
    relation = "=" if case.equal else r"\neq"
    size = r"\displaystyle " if is_tall(case.body) else ""
    return rf"{size}{to_latex(case.body)} & \text{{if }} {case.first} {relation} {case.second}"
