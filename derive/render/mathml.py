"""A typeset tree as MathML, which browsers set by themselves: no script, no font to be loaded.

Presentation MathML of the part that browsers agree on (MathML Core).  Products carry the invisible
times of U+2062 and applied functions U+2061, for those who hear a formula or read it by program.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise

from derive.render.latex import is_tall, run_together, scripts
from derive.render.mathml_name import from_latex, row, scripted
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

TIMES, APPLY, MINUS = "\u2062", "\u2061", "−"
_BIG = (Fraction, Total, Differential, Root)  # what is set apart from the factor before it


def to_mathml(tree: Node, *, display: bool = True) -> str:
    """The ``math`` element.  Raises TypeError for a node that it does not know."""
    return math(_elements(tree), display=display)


def relation(tree: Node) -> str:
    """``= tree`` as a ``math`` element: a chain's later steps leave out their left side."""
    return math([_operator("="), *_elements(tree)], display=True)


def math(elements: list[str], *, display: bool) -> str:
    block = ' display="block"' if display else ""
    return f"<math{block}>{''.join(elements)}</math>"


def _one(tree: Node) -> str:
    """The tree as a single element."""
    return row(_elements(tree))


def _elements(tree: Node) -> list[str]:
    match tree:
        case Number(value):
            return [f"<mn>{value}</mn>"]
        case Name():
            return [_name(tree)]
        case Terms():
            return _terms(tree)
        case Product(factors):
            return _product(factors)
        case Fraction(over, under):
            return [f"<mfrac>{_one(over)}{_one(under)}</mfrac>"]
        case Power(base, exponent):
            return [_power(base, exponent)]
        case Root(body):
            return [f"<msqrt>{_one(body)}</msqrt>"]
        case Group(body):
            return [_in_parentheses(body)]
        case Call(function, arguments):
            name = f"<mi>{escape(function.text)}</mi>"
            return [name, _operator(APPLY), _in_parentheses(*arguments)]
        case Total(index, size, body):
            below = row([from_latex(index), _operator("="), "<mn>1</mn>"])
            sign = f"<munderover>{_operator('∑')}{below}{_one(size)}</munderover>"
            return [sign, *_elements(body)]
        case Differential(over, under):
            above, below = (row([_operator("∂"), _name(name)]) for name in (over, under))
            return [f"<mfrac>{above}{below}</mfrac>"]
        case Cases(cases):
            table = "".join(map(_case, cases))
            return [row([_operator("{"), f'<mtable class="cases">{table}</mtable>'])]
        case Matrix(rows):
            table = "".join(map(_matrix_row, rows))
            return [row([_operator("("), f"<mtable>{table}</mtable>", _operator(")")])]
        case Dots(towards):
            return [_operator({"right": "⋯", "below": "⋮", "diagonal": "⋱"}[towards])]
        case Equation(left, right):
            return [*_elements(left), _operator("="), *_elements(right)]
        case _:
            raise TypeError(f"no MathML for {type(tree).__name__}")


def _operator(sign: str) -> str:
    return f"<mo>{sign}</mo>"


def _name(name: Name) -> str:
    below, above = (from_latex(script) if script else "" for script in scripts(name))
    core = from_latex(name.symbol.latex)
    if name.symbol.square and name.dot:  # the dot is over the square as well
        core = row(["<mo>(</mo>", scripted(core, below, above), "<mo>)</mo>"])
        below = above = ""
    if name.dot:
        core = f'<mover accent="true">{core}<mo stretchy="false">˙</mo></mover>'
    return scripted(core, below, above)


def _terms(node: Terms) -> list[str]:
    first, *others = node.terms
    # Without its form, a minus sign that is not first in its row would be set as a subtraction.
    found = [f'<mo form="prefix">{MINUS}</mo>'] * first.negative + _elements(first.body)
    for term in others:
        found += [_operator(MINUS if term.negative else "+"), *_elements(term.body)]
    return found


def _product(factors: tuple[Node, ...]) -> list[str]:
    found = _elements(factors[0])
    for left, right in pairwise(factors):
        # Fractions side by side would look like one.
        big = isinstance(left, _BIG) or isinstance(right, _BIG)
        apart = big or run_together(left, right)
        found += [_operator(TIMES)] + ['<mspace width="0.17em"/>'] * apart + _elements(right)
    return found


def _power(base: Node, exponent: Node) -> str:
    """The exponent of a name stands above its index, not behind it."""
    if isinstance(base, Name) and not base.dot:
        below, above = scripts(base)
        if below and not above:
            return scripted(from_latex(base.symbol.latex), from_latex(below), _exponent(exponent))
    return scripted(_one(base), "", _exponent(exponent))


def _exponent(exponent: Node) -> str:
    """3/2 stays in one line."""
    match exponent:
        case Fraction(Number(over), Number(under)):
            solidus = '<mo lspace="0" rspace="0" stretchy="false">/</mo>'
            return row([f"<mn>{over}</mn>", solidus, f"<mn>{under}</mn>"])
    return _one(exponent)


def _in_parentheses(*bodies: Node) -> str:
    inside = _elements(bodies[0])
    for body in bodies[1:]:
        inside += [_operator(","), *_elements(body)]
    high = "" if any(map(is_tall, bodies)) else ' stretchy="false"'
    return row([f"<mo{high}>(</mo>", *inside, f"<mo{high}>)</mo>"])


def _matrix_row(entries: tuple[Node, ...]) -> str:
    cells = "".join(f"<mtd>{_one(entry)}</mtd>" for entry in entries)
    return f"<mtr>{cells}</mtr>"


def _case(case: Case) -> str:
    sign = "=" if case.equal else "≠"
    condition = [from_latex(case.first), _operator(sign), from_latex(case.second)]
    size = '<mstyle displaystyle="true">'
    body = f"{size}{_one(case.body)}</mstyle>"
    return f"<mtr><mtd>{body}</mtd><mtd><mtext>if&#160;</mtext>{''.join(condition)}</mtd></mtr>"
