"""Directions and cotangents in coordinates of their own: v = mean(v) + v_c.

A normalisation that subtracts a mean sees of a direction little more than what is left of its own.
So means are split off in the chart, as x = μ + x̂/r is: the definition of the mean then says
Σ v_c = 0, and sums such as Σ(v − v̄)(g − ḡ) are found instead of Σvg − ΣvΣg/m, which
cancels in rounded numbers.  Where no mean is subtracted (RMS Norm) nothing is split.  A formula of
a higher order is linear in each of its directions: it is written with one bracket for each of some
of them, with its sums by name, and with products such as γ·dy by name where γ varies along the
reduction (:mod:`derive.products`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, Pow

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
    labels,
    mean,
    mul,
    rebuild,
    sorted_axes,
    substitute,
    variables,
)
from derive.normal_form import NormalForm
from derive.polynomial import Poly
from derive.products import with_products
from derive.trace import Reason, Result, Step, certify


@dataclass(frozen=True)
class Centred:
    """A chart in which ``split`` are centred over ``axes``, with the definitions of what that
    names: the mean and the rest of each.  ``plain`` is the chart before."""

    plain: Chart
    chart: Chart
    axes: tuple[Axis, ...]
    definitions: tuple[Definition, ...]


def centred(plain: Chart, split: Sequence[Var], axes: Sequence[Axis]) -> Centred:
    """The chart with each of ``split`` eliminated by its mean over the axes and the rest, if the
    normalised variable itself has no mean."""
    named: list[Definition] = []
    chart = plain
    for var in split if _without_mean(plain) else ():
        kept = tuple(axis for axis in var.axes if axis not in axes)
        middle, rest = mean_of(var, kept), rest_of(var)
        definition = Definition(middle, mean(var, *axes), "mean")
        named += [definition, Definition(rest, add(var, mul(-1, middle)), "centred")]
        gone = {var.label: Definition(var, add(middle, rest))}
        chart = replace(chart, eliminated={**chart.eliminated, **gone})
        chart = with_identity(chart, definition)
    return Centred(plain, chart, tuple(axes), tuple(named))


def _without_mean(chart: Chart) -> bool:
    """Whether Σ x̂ = 0 is one of the identities."""
    return any(i.value == 0 and i.total.atoms(Var) == {chart.normalised} for i in chart.identities)


def mean_of(var: Var, axes: Sequence[Axis]) -> Var:
    """mean_v, for v; it varies over what is left of the axes."""
    return Var(f"mean_{var.label}", *axes)


def rest_of(var: Var) -> Var:
    """v_c, for v."""
    return Var(f"{var.label}_c", *var.axes)


class Closing:
    """Closes the derivatives of one program in turn, and names the sums that they come to.

    ``factors`` are what each formula is linear in; ``products`` have names of their own.  ``known``
    has the results so far, ``sums`` the names given.
    """

    def __init__(
        self,
        coordinates: Centred,
        factors: Sequence[Var],
        products: Sequence[Definition] = (),
    ) -> None:
        self.coordinates, self.factors = coordinates, tuple(factors)
        self.products = tuple(products)
        self.known: dict[str, Definition] = {}
        self.sums: dict[str, Definition] = {}
        self._writing = self._proving = NormalForm(coordinates.chart)
        if self.products:  # proofs unfold them, and for that means, which speak of them
            names = {d.var.label: d for d in self.names}
            self._proving = NormalForm(coordinates.plain).knowing(names)

    @property
    def names(self) -> tuple[Definition, ...]:
        """The products, the means of what was split, and what is left of it."""
        return (*self.products, *self.coordinates.definitions)

    def normal_form(self) -> NormalForm:
        """What proofs are made by; it remembers what it saw when less was known."""
        known = self._proving.known
        new = {k: d for k, d in {**self.sums, **self.known}.items() if k not in known}
        if new:
            self._proving = self._proving.knowing(new)
        return self._proving

    def close(self, var: Var, expr: Expr, reason: Reason) -> Result:
        """``expr``, with earlier results inserted, in centred coordinates, with its sums named.

        One step: what lies between is several lines long and says nothing.
        """
        over, summand = _summand(expr, self.coordinates.axes)
        normal_form = self.normal_form()  # which remembers, and serves the proof as well
        after = self._in_coordinates(summand, normal_form)
        new = {d.var.label: d for d in named_sums(after) if d.var.label not in self.sums}
        self.sums |= new
        named: Expr = SumOver(with_names(after, self.sums.values()), *over)
        certify(expr, named, normal_form.knowing(new), "centre")
        steps = (Step("centre", expr, named, self._words(expr)),)
        result = Result(var, var, expr, reason, (), steps if named != expr else ())
        self.known[var.label] = result.definition
        return result

    def _in_coordinates(self, expr: Expr, normal_form: NormalForm) -> Expr:
        """By factor, with the products by name."""
        groups = [
            {v.label for v in (factor, *(p.var for p in self.products if p.expr.has(factor)))}
            for factor in self.factors
        ]
        if not self.products:
            return by_factor(expr, normal_form, groups)
        named = with_products(normal_form.expr(normal_form.poly(expr)), self.products)
        return by_factor(named, self._writing, groups)

    def _words(self, expr: Expr) -> Reason:
        read = {var.label: var for var in variables(expr)}
        used = tuple(read[label] for label in self.known if label in read)
        words = "name means and sums"
        return Reason(f"insert {', '.join('{}' for _ in used)}; {words}" if used else words, used)

    def written_out(self, result: Result) -> Definition:
        """The closed form with its sums in full."""
        return Definition(result.var, substitute(result.closed, self.sums))


def _summand(expr: Expr, axes: Sequence[Axis]) -> tuple[tuple[Axis, ...], Expr]:
    """A sum over rows taken apart: the axes, and what each row contributes.

    The gradient of a parameter that rows share is Σₙ of something; its closed form is that of what
    is summed.  Axes are none where it is no such sum.
    """
    found: list[tuple[tuple[Axis, ...], Expr]] = []
    for term in Add.make_args(expr):
        sums = [f for f in Mul.make_args(term) if isinstance(f, SumOver)]
        if len(sums) != 1:
            return (), expr
        (total,) = sums
        whole = set(axes) <= set(total.axes)
        over = tuple(a for a in total.axes if not whole or a not in axes)
        body = SumOver(total.body, *(a for a in total.axes if a not in over))
        others = [f for f in Mul.make_args(term) if f is not total]
        found.append((over, mul(*others, body)))
    first = found[0][0]
    if any(over != first for over, _ in found):
        return (), expr
    return first, add(*(part for _, part in found))


def by_factor(expr: Expr, normal_form: NormalForm, factors: Iterable[Set[str]]) -> Expr:
    """The closed form, with one bracket for all terms that have the same of the ``factors``, each
    of them given by its names."""
    spelt = [
        {name for label in names for name in (label, f"mean_{label}", f"{label}_c")}
        for names in factors
    ]
    groups: dict[tuple[bool, ...], Poly] = {}
    for powers, coefficient in normal_form.poly(expr).items():
        found = frozenset[str]().union(*(labels(generator) for generator, _ in powers))
        key = tuple(not names.isdisjoint(found) for names in spelt)
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
