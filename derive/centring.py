"""Directions and cotangents in coordinates of their own: v = mean(v) + v_c.

A normalisation over an axis sees of a direction along it little more than what is left of its mean.
So means are split off in the chart, as x = μ + x̂/r is: the definition of the mean then says
Σ v_c = 0, and sums such as Σ(v − v̄)(g − ḡ) are found instead of Σvg − ΣvΣg/m, which
cancels in rounded numbers.  A formula of a higher order is linear in each of its directions: it is
written with one bracket for each of some of them, and with its sums by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Expr, Mul, Pow

from derive.chart import Chart
from derive.closed_form import factored
from derive.coordinates import with_identity
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    canonical,
    free_axes,
    mean,
    mul,
    rebuild,
    sorted_axes,
    substitute,
    variables,
)
from derive.normal_form import NormalForm
from derive.polynomial import Poly
from derive.trace import Reason, Result, Step, certify


@dataclass(frozen=True)
class Centred:
    """A chart in which ``split`` are centred over ``axes``, with the definitions of what that
    names: the mean and the rest of each."""

    chart: Chart
    split: tuple[Var, ...]
    definitions: tuple[Definition, ...]


def centred(chart: Chart, split: Sequence[Var], axes: Sequence[Axis]) -> Centred:
    """The chart with each of ``split`` eliminated by its mean over the axes and the rest."""
    named: list[Definition] = []
    for var in split:
        kept = tuple(axis for axis in var.axes if axis not in axes)
        middle, rest = mean_of(var, kept), rest_of(var)
        definition = Definition(middle, mean(var, *axes), "mean")
        named += [definition, Definition(rest, add(var, mul(-1, middle)), "centred")]
        gone = {var.label: Definition(var, add(middle, rest))}
        chart = replace(chart, eliminated={**chart.eliminated, **gone})
        chart = with_identity(chart, definition)
    return Centred(chart, tuple(split), tuple(named))


def mean_of(var: Var, axes: Sequence[Axis]) -> Var:
    """mean_v, for v; it varies over what is left of the axes."""
    return Var(f"mean_{var.label}", *axes)


def rest_of(var: Var) -> Var:
    """v_c, for v."""
    return Var(f"{var.label}_c", *var.axes)


class Closing:
    """Closes the derivatives of one program in turn, and names the sums that they come to.

    ``factors`` are what each formula is linear in; ``known`` has the results so far, ``sums`` the
    names given.
    """

    def __init__(self, coordinates: Centred, factors: Sequence[Var]) -> None:
        self.coordinates, self.factors = coordinates, tuple(factors)
        self.known: dict[str, Definition] = {}
        self.sums: dict[str, Definition] = {}
        self._plain = NormalForm(coordinates.chart)

    def normal_form(self) -> NormalForm:
        return self._plain.knowing({**self.sums, **self.known})

    def close(self, var: Var, expr: Expr, reason: Reason) -> Result:
        """``expr``, with earlier results inserted, in centred coordinates, with its sums named.

        One step: what lies between is several lines long and says nothing.
        """
        after = by_factor(expr, self.normal_form(), self.factors)
        self.sums |= {d.var.label: d for d in named_sums(after)}
        named = with_names(after, self.sums.values())
        certify(expr, named, self.normal_form(), "centre")
        steps = (Step("centre", expr, named, self._words(expr)),)
        result = Result(var, var, expr, reason, (), steps if named != expr else ())
        self.known[var.label] = result.definition
        return result

    def _words(self, expr: Expr) -> Reason:
        read = {var.label: var for var in variables(expr)}
        used = tuple(read[label] for label in self.known if label in read)
        words = "name means and sums"
        return Reason(f"insert {', '.join('{}' for _ in used)}; {words}" if used else words, used)

    def written_out(self, result: Result) -> Definition:
        """The closed form with its sums in full."""
        return Definition(result.var, substitute(result.closed, self.sums))


def by_factor(expr: Expr, normal_form: NormalForm, factors: Iterable[Var]) -> Expr:
    """The closed form, with one bracket for all terms that have the same of the ``factors``."""
    labels = [{f.label, mean_of(f, ()).label, rest_of(f).label} for f in factors]
    groups: dict[tuple[bool, ...], Poly] = {}
    for powers, coefficient in normal_form.poly(expr).items():
        found = {var.label for generator, _ in powers for var in generator.atoms(Var)}
        key = tuple(bool(found & names) for names in labels)
        groups.setdefault(key, {})[powers] = coefficient
    return add(*(factored(groups[key], normal_form).expr for key in sorted(groups, reverse=True)))


def named_sums(expr: Expr) -> tuple[Definition, ...]:
    """A name for each different sum in a formula."""
    totals = sorted(expr.atoms(SumOver), key=str)
    return tuple(
        Definition(Var(_sum_name(t), *sorted_axes(free_axes(t))), t, "sum") for t in totals
    )


def with_names(expr: Expr, sums: Iterable[Definition]) -> Expr:
    """The formula with its sums by name."""
    table: Mapping[Expr, Var] = {canonical(d.expr): d.var for d in sums}

    def visit(node: Expr) -> Expr:
        if isinstance(node, SumOver) and canonical(node) in table:
            return table[canonical(node)]
        if isinstance(node, Delta | Var) or not node.args:
            return node
        return rebuild(node, (visit(arg) for arg in node.args))

    return visit(expr)


def _sum_name(total: SumOver) -> str:
    """S_v_xhat for Σ v_c x̂, S_v2 for Σ v_c²."""
    parts = []
    for factor in Mul.make_args(total.body):
        base, power = (factor.base, factor.exp) if isinstance(factor, Pow) else (factor, 1)
        label = getattr(base, "label", "f").removesuffix("_c").replace("_", "")
        parts.append(label + (str(power) if power != 1 else ""))
    return "_".join(["S", *sorted(parts)])
