"""The pipeline from a program to passes over memory, in the order of :data:`PASSES`:

1. ``centre_data``   x is only ever used as x − μ, with μ split in two so that nothing is lost;
2. ``name_roots``    (σ²+ε)^(-1/2) is computed once and gets a name;
3. ``collect_sums``  every sum becomes one assignment, shared by all that need it;
4. ``hoist``         what is constant along a reduced axis leaves the map; or, of long formulas,
   ``collect_arrays``  with all that one array is multiplied by in one factor.

:mod:`codegen.schedule` then groups the assignments into reduce, group and map passes.  None of them
changes a program's value, and :mod:`codegen.pipeline` proves it after every one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sympy import Add, Expr, Integer, Mul, Pow

from codegen.combinations import named, sum_of
from codegen.ir import Assign, Program, is_sum
from codegen.lower import u_and_r
from codegen.names import CENTRE, CENTRED, REST, SHIFTED, product_label, sum_label, unused
from derive.chart import Chart, NotNormalError
from derive.closed_form import closed_form
from derive.derivation import Derivation
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
from derive.layer import Layer
from derive.normal_form import NormalForm

ProgramPass = Callable[[Program, Derivation], Program]


# --- 1. Centre ------------------------------------------------------------------------------------


def mean_of_data(layer: Layer) -> Definition | None:
    """The definition μ = (1/m)Σx, if the layer has one."""
    for definition in layer:
        if definition.expr == mean(layer.data, *layer.reduced_axes):
            return definition
    return None


def centre_data(program: Program, derivation: Derivation) -> Program:
    """x = μ + x_c, where x_c = (x − centre) − rest and μ = centre + rest.

    μ rounded to one number would cost all digits of x − μ when |μ| is large beside σ.  In
    ``forward`` the statistics are rewritten for data shifted by the centre, whatever the centre
    is: Σ(x−μ)² = Σd² − (Σd)²/m with d = x − centre, by normal form.
    """
    layer = derivation.layer
    mu = mean_of_data(layer)
    if mu is None or all(layer.data not in a.expr.free_symbols for a in program.assigns):
        return program
    x = layer.data
    centre, rest = Var(CENTRE, *mu.var.axes), Var(REST, *mu.var.axes)
    centred, shifted = Var(CENTRED, *x.axes), Var(SHIFTED, *x.axes)
    definition = Assign(
        centred, add(add(x, mul(-1, centre)), mul(-1, rest)), "x - mu, with mu in two parts"
    )
    shift = {x.label: Definition(x, add(mu.var, centred))}
    whole = {mu.var.label: Definition(mu.var, add(centre, rest))}
    statistics = [d.var for d in layer if d.expr.has(SumOver)]
    assigns: list[Assign] = []
    for assign in program.assigns:
        if assign.target == mu.var:
            assigns += [
                Assign(centre, mu.expr, f"{mu.note or 'mean'}, rounded"),
                Assign(shifted, add(x, mul(-1, centre)), "less the rounded mean"),
                Assign(rest, mean(shifted, *layer.reduced_axes), "what rounding left of the mean"),
            ]
        elif assign.target in statistics:
            assigns.append(_shift_statistic(assign, mu, shifted, layer))
        else:
            # Data that are not centred stay as they are: μ + x_c would round them for nothing.
            expr = substitute(assign.expr, shift)
            expr = substitute(assign.expr if expr.has(mu.var) else expr, whole)
            assigns.append(replace(assign, expr=expr))
    uses = [k for k, assign in enumerate(assigns) if centred in variables(assign.expr)]
    if uses:
        assigns.insert(uses[0], definition)

    def split(group: tuple[Var, ...]) -> tuple[Var, ...]:
        return tuple(v for var in group for v in ((centre, rest) if var == mu.var else (var,)))

    return Program(split(program.given), tuple(assigns), split(program.results))


def _shift_statistic(assign: Assign, mu: Definition, shifted: Var, layer: Layer) -> Assign:
    """A statistic of x − μ in terms of d = x − centre, for an arbitrary centre."""
    x = layer.data
    table = {
        x.label: Definition(x, add(Var(CENTRE, *mu.var.axes), shifted)),
        mu.var.label: Definition(
            mu.var, add(Var(CENTRE, *mu.var.axes), mean(shifted, *layer.reduced_axes))
        ),
    }
    plain = NormalForm(Chart(constants=layer.constants))
    try:
        expr = closed_form(substitute(assign.expr, table), plain)
    except NotNormalError:
        return assign
    note = f"{assign.note or assign.target.label}, from shifted data"
    return replace(assign, expr=_spread(expr), note=note)


def _spread(expr: Expr) -> Expr:
    """u·(a + b) as u·a + u·b: Σd²/m − (Σd/m)² keeps its two terms of like size apart."""
    parts = Mul.make_args(expr)
    brackets = [part for part in parts if isinstance(part, Add)]
    if len(brackets) != 1:
        return expr
    rest = [part for part in parts if part is not brackets[0]]
    return add(*(mul(*rest, term) for term in brackets[0].args))


# --- 2. Roots -------------------------------------------------------------------------------------


def name_roots(program: Program, derivation: Derivation) -> Program:
    """Every power of what is under a root, by the root's own name."""
    roots = derivation.chart.roots

    def visit(expr: Expr) -> Expr:
        if isinstance(expr, Var | Delta) or not expr.args:
            return expr
        if isinstance(expr, Pow):
            for root in roots.values():
                if expr.base == root.base:
                    return Pow(root.var, -expr.exp * root.degree)
        return rebuild(expr, (visit(arg) for arg in expr.args))

    assigns = [replace(assign, expr=visit(assign.expr)) for assign in program.assigns]
    available = {var.label for var in program.given}
    used = {v.label for a in assigns for v in variables(a.expr)} & set(roots)
    given = program.given
    results = program.results
    for label in sorted(used - available):
        root = roots[label]
        last = [k for k, a in enumerate(assigns) if a.target in root.base.free_symbols]
        meaning = Pow(root.base, -Pow(root.degree, -1))
        if last:  # the statistic is computed here: so is its root, and it is kept
            assigns.insert(
                last[-1] + 1, Assign(root.var, meaning, "inverse root, shared by all formulas")
            )
            results = (*results[:-1], root.var, results[-1])
        elif set(variables(root.base)) <= set(derivation.layer.parameters):
            assigns.insert(0, Assign(root.var, meaning, "inverse root of what is given"))
        else:
            given = (*given, root.var)
    read = {v.label: v for a in assigns for v in variables(a.expr)}
    labels = {*read, *(var.label for var in results)}
    more = (v for v in derivation.layer.parameters if v.label in read and v not in given)
    given = (*(v for v in given if v.label in labels), *more)
    return Program(given, tuple(assigns), results)


# --- 3. Sums --------------------------------------------------------------------------------------


def collect_sums(program: Program, _: Derivation) -> Program:
    """Each sum by a name of its own; equal sums share one."""
    sums: dict[SumOver, Var] = {}
    taken = set(program.names())
    assigns: list[Assign] = []

    def visit(expr: Expr) -> Expr:
        if isinstance(expr, Var | Delta) or not expr.args:
            return expr
        if isinstance(expr, SumOver):
            total = SumOver(visit(expr.body), *expr.axes)
            key = canonical(total)
            if key not in sums:
                label = unused(sum_label(total), taken)
                taken.add(label)
                sums[key] = Var(label, *sorted_axes(free_axes(total)))
                assigns.append(Assign(sums[key], total))
            return sums[key]
        return rebuild(expr, (visit(arg) for arg in expr.args))

    for assign in program.assigns:
        expr = visit(assign.expr)
        assigns.append(replace(assign, expr=expr))
    return replace(program, assigns=tuple(assigns))


# --- 4. Arrays of long formulas -------------------------------------------------------------------


def collect_arrays(program: Program, derivation: Derivation) -> Program:
    """Each result as one term for each array, whose factor is computed once per group: fewer
    operations on arrays than brackets take."""
    axes = frozenset(derivation.layer.reduced_axes)
    taken = set(program.names())
    assigns: list[Assign] = []

    def collected(expr: Expr, factor: Expr, result: Var) -> Expr:
        parts = []
        for array, its in _by_array(expr, factor, axes).items():
            brackets = [part for part in Mul.make_args(array) if isinstance(part, Add)]
            if brackets:  # γ (a + b), with its factor on each of the terms
                others = (part for part in Mul.make_args(array) if part is not brackets[0])
                parts.append(mul(*others, collected(brackets[0], its, result)))
                continue
            end = f"per_{product_label(array)}" if free_axes(array) & axes else "offset"
            parts.append(mul(named(its, f"{result.label}_{end}", assigns, taken), array))
        return add(*parts)

    for assign in program.assigns:
        if assign.target in program.results and free_axes(assign.target) & axes:
            assign = replace(assign, expr=collected(assign.expr, Integer(1), assign.target))
        assigns.append(assign)
    return replace(program, assigns=tuple(assigns))


def _by_array(expr: Expr, factor: Expr, axes: frozenset[Axis]) -> dict[Expr, Expr]:
    """What varies along the axes, with all that it is multiplied by; 1 stands for what is alone."""
    if isinstance(expr, Add):
        return sum_of(_by_array(term, factor, axes) for term in expr.args)
    varying = [part for part in Mul.make_args(expr) if free_axes(part) & axes]
    factor = mul(factor, *(part for part in Mul.make_args(expr) if part not in varying))
    if len(varying) == 1 and isinstance(varying[0], Add):
        return _by_array(varying[0], factor, axes)
    return {mul(*varying): factor}


# --- 4. Hoist -------------------------------------------------------------------------------------


def hoist(program: Program, derivation: Derivation) -> Program:
    """The factors of a map that are constant along the reduced axes, multiplied once per group."""
    axes = frozenset(derivation.layer.reduced_axes)
    taken = set(program.names())
    u = _named_u(derivation)
    hoisted: dict[Expr, Expr] = {}
    assigns: list[Assign] = []

    def visit(expr: Expr) -> Expr:
        if isinstance(expr, Var | Delta) or not expr.args:
            return expr
        if isinstance(expr, Mul):
            constant = [p for p in expr.args if not free_axes(p) & axes]
            composite = [p for p in constant if not p.is_Number]
            computed = any(variables(p) for p in composite)  # sizes alone are whole numbers
            if len(composite) > 1 and computed and len(constant) < len(expr.args):
                product = mul(*constant)
                if product not in hoisted:
                    is_u = u is not None and canonical(product) == canonical(u)
                    hoisted[product] = named(product, "u" if is_u else "scale", assigns, taken)
                return mul(hoisted[product], *(visit(p) for p in expr.args if p not in constant))
        return rebuild(expr, (visit(arg) for arg in expr.args))

    for assign in program.assigns:
        full = bool(free_axes(assign.target) & axes)
        expr = visit(assign.expr) if full and not is_sum(assign) else assign.expr
        assigns.append(replace(assign, expr=expr))
    return replace(program, assigns=tuple(assigns))


def _named_u(derivation: Derivation) -> Expr | None:
    """The Jacobian's u, if any, after its root was named, so that the kernel calls it u too."""
    if derivation.jacobian is None:
        return None
    u, _ = u_and_r(derivation)
    program = Program((), (Assign(u.var, u.expr),), (u.var,))
    return name_roots(program, derivation).assigns[0].expr


PASSES: tuple[ProgramPass, ...] = (centre_data, name_roots, collect_sums, hoist)
