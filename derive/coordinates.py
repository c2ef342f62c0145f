"""Finding a layer's chart from its definitions (see :mod:`derive.chart` for what a chart is)."""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr, Function, Pow, preorder_traversal

from derive.chart import Chart, Identity, NotNormalError, Root, axes_of
from derive.expr import Definition, SumOver, Var, add, free_axes, mul
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.polynomial import Monomial, Poly, power_of


def chart_of(layer: Layer) -> Chart:
    """Coordinates for a layer: roots, normalised variable, then the identities they reveal."""
    chart = Chart(constants=layer.constants)
    for definition in layer:
        chart = _with_roots(chart, definition.expr)
        if not definition.expr.has(SumOver):
            chart = _with_definition(chart, definition, layer)
    for definition in layer:
        if definition.expr.has(SumOver):
            chart = with_identity(chart, definition)
    return chart


def _with_roots(chart: Chart, expr: Expr) -> Chart:
    """A generator for every root in the expression, and one quantity eliminated for each."""
    for node in preorder_traversal(expr):
        if not isinstance(node, Pow) or node.exp.is_Integer or not node.exp.is_Rational:
            continue
        normal_form = NormalForm(chart)
        base = normal_form.poly(node.base)
        try:
            normal_form.poly(node)
        except NotNormalError:
            chart = _with_root(chart, node.base, base, int(node.exp.q))
    return chart


def _with_root(chart: Chart, base: Expr, poly: Poly, degree: int) -> Chart:
    normal_form = NormalForm(chart)
    axes = axes_of(base)
    for powers, coefficient in poly.items():
        if len(powers) != 1 or powers[0][1] != 1 or not isinstance(powers[0][0], Var):
            continue
        gone = powers[0][0]
        others: Poly = {p: -c for p, c in poly.items() if p != powers}
        if frozenset(gone.axes) != frozenset(axes) or any(
            gone in generator.atoms(Var) for p in others for generator, _ in p
        ):
            continue
        root = Var(f"inv_root_{gone.label}", *axes, positive=True)
        solved = mul(Pow(root, -degree) + normal_form.expr(others), 1 / coefficient.as_expr())
        return replace(
            chart,
            eliminated={**chart.eliminated, gone.label: Definition(gone, solved)},
            roots={**chart.roots, root.label: Root(root, base, degree)},
        )
    raise NotNormalError(f"no quantity under the root of {base} can be solved for")


def _with_definition(chart: Chart, definition: Definition, layer: Layer) -> Chart:
    """An elementwise definition: a new coordinate in place of an old one, or to be unfolded."""
    normal_form = NormalForm(chart)
    poly = normal_form.poly(definition.expr)
    if len(poly) == 1:
        ((powers, coefficient),) = poly.items()
        if coefficient == 1 and len(powers) == 1 and powers[0][1] == 1:
            function = powers[0][0]
            if isinstance(function, Function) and isinstance(function.args[0], Var):
                key = (type(function), function.args[0].label)
                argument = function.args[0]
                alias = Definition(argument, definition.var)
                return replace(chart, aliases={**chart.aliases, key: alias})
    statistics = {d.var.label for d in layer if d.expr.has(SumOver)} | set(chart.roots)
    solved = _solve(poly, definition.var, statistics, normal_form)
    if solved is not None:
        return replace(
            chart,
            normalised=definition.var,
            solved=solved,
            eliminated={**chart.eliminated, solved.var.label: solved},
        )
    return replace(chart, eliminated={**chart.eliminated, definition.var.label: definition})


def _solve(
    poly: Poly, var: Var, statistics: set[str], normal_form: NormalForm
) -> Definition | None:
    """``var = A·u + B`` solved for u, when u varies like var and a statistic occurs in A or B.

    Without a statistic (y = γx̂ + β has only γ and β) a change of coordinates reveals nothing.
    """
    depends = False
    candidates: list[tuple[Var, Monomial]] = []
    for powers in poly:
        for generator, power in powers:
            if not isinstance(generator, Var):
                continue
            depends |= generator.label in statistics
            if power == 1 and generator.axes == var.axes:
                candidates.append((generator, powers))
    occurrences = {u: sum(u in g.atoms(Var) for p in poly for g, _ in p) for u, _ in candidates}
    candidates = [(u, powers) for u, powers in candidates if occurrences[u] == 1]
    if not depends or len(candidates) != 1:
        return None
    u, powers = candidates[0]
    unit = tuple(item for item in powers if item[0] != u)
    rest = normal_form.expr({p: c for p, c in poly.items() if p != powers})
    inverse = normal_form.expr({power_of(unit, -1): 1 / poly[powers]})
    return Definition(u, add(mul(var, inverse), mul(-1, rest, inverse)))


def with_identity(chart: Chart, definition: Definition) -> Chart:
    """What the definition of a statistic says in the new coordinates: A·Σ + B = 0, solved for Σ."""
    normal_form = NormalForm(chart)
    poly = normal_form.poly(definition.expr - definition.var)
    sums = {g for powers in poly for g, _ in powers if g.has(SumOver)}
    if len(sums) != 1:
        return chart
    (total,) = sums
    factor: Poly = {}
    rest: Poly = {}
    for powers, coefficient in poly.items():
        others = tuple(item for item in powers if item[0] != total)
        power = dict(powers).get(total, 0)
        if power == 0:
            rest[others] = -coefficient
        elif power == 1:
            factor[others] = coefficient
        else:
            return chart
    try:
        solved = mul(normal_form.expr(rest), Pow(normal_form.expr(factor), -1))
        value = normal_form.expr(normal_form.poly(solved))
    except NotNormalError:
        return chart
    if not isinstance(total, SumOver) or not free_axes(value) <= free_axes(total):
        return chart
    return replace(chart, identities=(*chart.identities, Identity(total, value, definition.var)))
