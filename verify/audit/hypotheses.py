"""What a wrong gradient may be: every line of the derivation, with every mistake made in it.

The hypotheses are made from a layer's derivation and from nothing else:

* **held**: the chain rule, with statistics treated as constants;
* **closed** and **staged**: one mistake (:mod:`verify.audit.edits`) in one printed line of the
  derivation, and what follows from it in the lines after it;
* **forward**: one mistake in a definition, with the right backward formulas on top of it;
* **redefined**: the same, with the gradients of the definition as it then is;
* **pairs**: two mistakes in one line of the closed form;
* **exchanged**: right results in the place of others; **cotangent**: all of them with a factor.

A program is the list of definitions that a kernel would compute.  Where the mistake is in a
definition its roots are named: a mistake in the line inv_std := 1/√(σ²+ε) spoils all that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations

from sympy import Expr, Pow

from derive.derivation import Derivation, derive
from derive.differentiate import vjp
from derive.expr import Definition, SumOver, Var, add, adjoint, mul, rebuild, substitute, variables
from derive.layer import Layer
from verify.audit.edits import HALF, Edit, Scope, edited, whole

Program = tuple[Definition, ...]
# Mistakes that make another definition that somebody may want, or think to have.
REDEFINING = frozenset(
    {
        "m-1 for m",
        "wrong count",
        "wrong axis",
        "1/m missing",
        "term dropped",
        "eps missing",
        "eps twice",
        "eps squared",
        "eps outside the root",
        "variance for deviation",
    }
)
# Mistakes that two of are looked for in one line.
PAIRED = frozenset(
    {
        "1/m missing",
        "1/m too many",
        "eps missing",
        "eps outside the root",
        "factor missing",
        "gamma missing",
        "gamma outside the sum",
        "m missing",
        "m-1 for m",
        "sign flipped",
        "term dropped",
        "variance for deviation",
        "wrong axis",
    }
)
INVERSE_ROOT = "inv_std"  # the name of the line 1/√(σ²+ε)


@dataclass(frozen=True)
class Hypothesis:
    """``line`` of the derivation was computed as ``wrong``.

    ``mistakes`` are what was done, each with the part of the line that it is about.  ``program`` is
    the whole computation with the mistake in it, at ``at``; ``base`` is the same without it, unless
    more than that line is different.
    """

    mistakes: tuple[tuple[str, Expr], ...]
    line: Definition
    wrong: Expr
    program: Program
    at: int
    base: Program | None = None

    @property
    def kind(self) -> str:
        """The mistake by name, or both."""
        return " and ".join(kind for kind, _ in self.mistakes)

    @property
    def key(self) -> tuple[str, str]:
        """The mistake and the line that it breaks, by name."""
        return self.kind, self.line.var.label


@dataclass(frozen=True)
class Base:
    """A right program and the lines in it that a mistake can be made in."""

    name: str
    program: Program
    lines: tuple[int, ...]


def gradients(layer: Layer) -> tuple[str, ...]:
    """The labels of what a backward pass returns."""
    return tuple(adjoint(var).label for var in layer.inputs)


@cache
def hypotheses(layer: Layer) -> tuple[Hypothesis, ...]:
    """Every hypothesis about a layer, the most telling first."""
    derivation = derive(layer)
    scope = scope_of(layer)
    found = [*_held(derivation), *_exchanged(derivation)]
    for base in bases(derivation):
        found += _mistakes(base, scope)
    return (*found, *_cotangents(derivation, scope))


@cache
def redefinitions(layer: Layer) -> tuple[Hypothesis, ...]:
    """Every hypothesis that the gradients are right, and the definition is another one."""
    return tuple(_redefined(layer, scope_of(layer)))


def scope_of(layer: Layer) -> Scope:
    """What a mistake in a formula of the layer may put in a place."""
    eps = next(var for var in layer.parameters if not var.axes)
    quantities = (*layer.inputs, *(d.var for d in layer))
    cotangents = [adjoint(d.var) for d in layer]
    instead: dict[str, tuple[tuple[str, Expr], ...]] = {}
    for group in (quantities, cotangents):
        for var in group:
            same = (other for other in group if other != var and other.axes == var.axes)
            instead[var.label] = tuple(("another quantity", other) for other in same)
    for var in (d.var for d in layer if d.expr.has(SumOver)):
        if var.is_nonnegative:
            std = Pow(add(var, eps), HALF)
            instead[var.label] += (
                ("deviation for variance", Pow(var, HALF)),
                ("deviation for variance", std),
                ("inverse deviation for variance", Pow(std, -1)),
                ("eps twice", Pow(std, 2)),
            )
    given = {v.label for v in (*layer.inputs, *layer.parameters, adjoint(layer.output))}
    return Scope(frozenset(given), layer.axes, layer.reduced_axes, eps, layer.learnt, instead)


# --- Right programs -------------------------------------------------------------------------------


def bases(derivation: Derivation) -> Iterator[Base]:
    """The right programs, in the order in which their mistakes are most telling."""
    layer = derivation.layer
    forward, adjoints = layer.definitions, derivation.adjoints
    wanted = gradients(layer)
    closed = tuple(r.definition for r in adjoints if r.var.label in wanted)
    staged = tuple(Definition(r.var, r.staged) for r in adjoints)
    yield _base("closed", forward, closed)
    yield _base("staged", forward, staged)
    for name, backward in (("closed", closed), ("staged", staged)):
        program = _with_roots((*forward, *backward), layer)
        yield Base(f"forward, {name}", program, tuple(range(len(program) - len(backward))))
    starts = tuple(Definition(r.var, r.start) for r in adjoints)
    yield _base("chain rule", forward, starts)
    for result in adjoints:
        for step in result.steps[:-1]:
            line = Definition(result.var, step.after)
            others = tuple(line if d.var == result.var else d for d in staged)
            at = len(forward) + next(k for k, d in enumerate(others) if d is line)
            yield Base(step.rule, (*forward, *others), (at,))


def _base(name: str, forward: Program, backward: Program) -> Base:
    program = (*forward, *backward)
    return Base(name, program, tuple(range(len(forward), len(program))))


def _with_roots(program: Program, layer: Layer) -> Program:
    """The same program with a line for 1/√(σ²+ε), after that of σ², which the others use."""
    result: list[Definition] = []
    roots: dict[Expr, Var] = {}
    for line in program:
        expr = line.expr
        for base, root in roots.items():
            expr = _named(expr, base, root)
        result.append(replace(Definition(line.var, expr), note=line.note))
        for parameter in layer.parameters:
            base = add(line.var, parameter)
            if line.var.is_nonnegative and any(d.expr.has(base) for d in program):
                root = Var(INVERSE_ROOT, *line.var.axes, positive=True)
                roots[base] = root
                result.append(Definition(root, Pow(base, -HALF), "inverse deviation"))
    return tuple(result)


def _named(expr: Expr, base: Expr, root: Var) -> Expr:
    """b^(p/2) = r^(-p), where r = b^(-1/2)."""
    if expr == base or (isinstance(expr, Pow) and expr.base == base):
        _, exponent = expr.as_base_exp() if expr != base else (base, mul(1))
        return Pow(root, -2 * exponent)
    if not expr.args:
        return expr
    return rebuild(expr, (_named(arg, base, root) for arg in expr.args))


# --- Mistakes -------------------------------------------------------------------------------------


def _mistakes(base: Base, scope: Scope) -> Iterator[Hypothesis]:
    """Each mistake in each line of a base."""
    for at in base.lines:
        line = base.program[at]
        seen = {line.expr}
        for edit in _edits(base.program, at, scope):
            if edit.result not in seen:
                seen.add(edit.result)
                yield _hypothesis(edit, base.program, at)


@cache
def pairs(layer: Layer) -> tuple[Hypothesis, ...]:
    """Every hypothesis that two mistakes were made in one line of the closed form."""
    scope = scope_of(layer)
    program = next(bases(derive(layer)))
    found: list[Hypothesis] = []
    for at in program.lines:
        line = program.program[at]
        once = [e for e in edited(line.expr, scope) if e.kind in PAIRED]
        seen = {line.expr, *(edit.result for edit in once)}
        for first in once:
            for second in (e for e in edited(first.result, scope) if e.kind in PAIRED):
                if second.result not in seen:
                    seen.add(second.result)
                    made = _hypothesis(second, program.program, at)
                    mistakes = ((first.kind, first.part), *made.mistakes)
                    found.append(replace(made, mistakes=mistakes))
    return tuple(found)


def _edits(program: Program, at: int, scope: Scope) -> Iterator[Edit]:
    """The mistakes in one line; what is not defined before it is not put into it."""
    line = program[at]
    known = scope.given | {d.var.label for d in program[:at]}
    instead = {
        label: tuple(
            (kind, other)
            for kind, other in others
            if all(var.label in known for var in variables(other))
        )
        for label, others in scope.instead.items()
    }
    within = replace(scope, instead=instead)
    yield from edited(line.expr, within)
    yield from whole(line.expr, within)


def _hypothesis(edit: Edit, program: Program, at: int) -> Hypothesis:
    line = program[at]
    wrong = replace(line, expr=edit.result)
    changed = (*program[:at], wrong, *program[at + 1 :])
    mistakes = ((edit.kind, edit.part),)
    return Hypothesis(mistakes, line, edit.result, changed, at, program)


def _held(derivation: Derivation) -> Iterator[Hypothesis]:
    """The chain rule with some statistics, and so what flows through them, held constant."""
    layer = derivation.layer
    statistics = [d for d in layer if d.expr.has(SumOver)]
    output, result = layer.output, derivation[adjoint(layer.data).label]
    right = Definition(result.var, result.staged)
    for count in range(1, len(statistics) + 1):
        for held in combinations(statistics, count):
            program = tuple(d for d in layer if d not in held)
            pulled = vjp(program, {output: adjoint(output)}, layer.inputs)
            dx = next(k for k, d in enumerate(pulled) if d.var == adjoint(layer.data))
            whole_program = (*layer.definitions, *pulled)
            names = ", ".join(d.var.label for d in held)
            kind, at = f"{names} held constant", len(layer.definitions) + dx
            mistakes = ((kind, held[0].var),)
            yield Hypothesis(mistakes, right, pulled[dx].expr, whole_program, at)


def _exchanged(derivation: Derivation) -> Iterator[Hypothesis]:
    """Gradients of learnt parameters in each other's place."""
    layer = derivation.layer
    results = [derivation[adjoint(var).label] for var in layer.learnt]
    for one, other in combinations(results, 2):
        swap = {one.var: other.closed, other.var: one.closed}
        closed = [derivation[label] for label in gradients(layer)]
        backward = tuple(Definition(r.var, swap.get(r.var, r.closed)) for r in closed)
        program = (*layer.definitions, *backward)
        at = len(layer.definitions) + next(k for k, r in enumerate(closed) if r.var == one.var)
        mistakes = (("exchanged", other.var),)
        yield Hypothesis(mistakes, one.definition, other.closed, program, at)


def _cotangents(derivation: Derivation, scope: Scope) -> Iterator[Hypothesis]:
    """∂ℓ/∂y with another factor, as of a loss that is averaged: all gradients have it, too."""
    layer = derivation.layer
    dy = adjoint(layer.output)
    closed = [derivation[label] for label in gradients(layer)]
    for edit in whole(dy, scope):
        by = {dy.label: Definition(dy, edit.result)}
        backward = (Definition(r.var, substitute(r.closed, by)) for r in closed)
        program = (*layer.definitions, *backward)
        mistakes = (("cotangent", dy),)
        yield Hypothesis(mistakes, Definition(dy, dy), edit.result, program, len(program) - 1)


def _redefined(layer: Layer, scope: Scope) -> Iterator[Hypothesis]:
    """A mistake in a definition, and the gradients of what is then defined."""
    for at, line in enumerate(layer.definitions[:-1]):
        for edit in (e for e in _edits(layer.definitions, at, scope) if e.kind in REDEFINING):
            changed = replace(line, expr=edit.result)
            program = (*layer.definitions[:at], changed, *layer.definitions[at + 1 :])
            output = layer.output
            pulled = vjp(program, {output: adjoint(output)}, layer.inputs)
            kind = f"another definition: {edit.kind}"
            mistakes = ((kind, edit.part),)
            yield Hypothesis(mistakes, line, edit.result, (*program, *pulled), at)
