"""A derivation as a certificate: plain data that :mod:`verify.checker.replay` replays.

The format is described in docs/certificates.md.  Nothing is computed here but what the chart does
not keep: the factor of each identity, and what a root's base comes to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sympy import Add, Expr, Function, Mul, Pow, Rational, Symbol, exp, log, tanh

from derive.chart import Root
from derive.derivation import Derivation
from derive.errors import InputError
from derive.expr import Definition, Delta, SumOver, Var, variables
from derive.functions import (
    Absolute,
    Activation,
    ActivationSlope,
    Erf,
    Gauss,
    Maximum,
    Relu,
    Sigmoid,
    Sign,
)
from derive.functions import Step as StepFunction
from derive.normal_form import NormalForm
from derive.trace import Fact, JacobianEntry, Result, Step
from verify.checker.replay import FORMAT, VERSION, replayed
from verify.checker.terms import ProofError

FUNCTIONS: dict[type[Function], str] = {
    exp: "exp",
    log: "log",
    tanh: "tanh",
    Sigmoid: "sigmoid",
    Erf: "erf",
    Gauss: "gauss",
    Absolute: "abs",
    Sign: "sign",
    Relu: "relu",
    StepFunction: "step",
    Maximum: "max",
    Activation: "g",
    ActivationSlope: "g_slope",
}

Json = Any


def certificate(derivation: Derivation) -> dict[str, Json]:
    """Everything that a derivation states, with what it takes to replay it.

    It is replayed before it is returned, and signs that no proof needs are left out.  Raises
    InputError where the engine has proved nothing, or the checker cannot follow it.
    """
    layer = derivation.layer
    if derivation.unproved:
        raise InputError(
            f"{layer.name} has no certificate: nothing is proved of it ({derivation.unproved})"
        )
    data = _Writer(derivation).data()
    try:
        needed = replayed(data).names.needed
    except ProofError as error:
        raise InputError(f"{layer.name} has no certificate: its checker refuses {error}") from error
    for quantity in (*data["inputs"], *data["parameters"]):
        if quantity["name"] not in needed:
            quantity["sign"] = None
    return data


def text(data: Json, indent: str = "") -> str:
    """JSON with a formula, or an object without objects in it, on each line."""
    inner = indent + " "
    if isinstance(data, dict) and any(isinstance(value, dict | list) for value in data.values()):
        parts = [f"{json.dumps(key)}: {text(value, inner)}" for key, value in data.items()]
        opening, closing = "{}"
    elif isinstance(data, list) and any(isinstance(item, dict) for item in data):
        parts = [text(item, inner) for item in data]
        opening, closing = "[]"
    else:
        return json.dumps(data, ensure_ascii=False)
    body = f",\n{inner}".join(parts)
    return f"{opening}\n{inner}{body}\n{indent}{closing}"


@dataclass(frozen=True)
class _Writer:
    derivation: Derivation

    def data(self) -> dict[str, Json]:
        derivation, layer = self.derivation, self.derivation.layer
        data: dict[str, Json] = {
            "format": FORMAT,
            "version": VERSION,
            "layer": layer.name,
            "title": layer.title,
            "source": layer.source,
            "axes": {axis.name: axis.size.name for axis in layer.axes},
            "inputs": [self.quantity(var) for var in layer.inputs],
            "parameters": [self.quantity(var) for var in layer.parameters],
            "definitions": [self.definition(definition) for definition in layer],
            "coordinates": [*self.coordinates()],
            "identities": [*self.identities()],
            "gradients": [self.result(result, result.var.of) for result in derivation.adjoints],
            "tangent": self.result(derivation.tangent, derivation.tangent.var.of),
            "jacobian": self.jacobian(),
            "facts": [self.fact(fact) for fact in derivation.all_facts()],
        }
        counted = ("definitions", "coordinates", "identities", "gradients", "facts")
        steps = sum(1 for _ in derivation.steps())
        return {**data, "counts": {**{kind: len(data[kind]) for kind in counted}, "steps": steps}}

    def quantity(self, var: Var) -> Json:
        sign = "positive" if var.is_positive else "nonnegative" if var.is_nonnegative else None
        return {"name": var.label, "indices": _indices(var), "sign": sign}

    def definition(self, definition: Definition) -> Json:
        var, expr = definition.var, definition.expr
        indices = {"name": var.label, "indices": _indices(var)}
        return {**indices, "is": self.tree(expr), "note": definition.note}

    # --- The chart ----------------------------------------------------------------------------

    def coordinates(self) -> Iterator[Json]:
        layer, chart = self.derivation.layer, self.derivation.chart
        for alias in chart.aliases.values():
            yield {"kind": "named", "of": self.label(alias.expr)}
        roots = {root.var.label.removeprefix("inv_root_"): root for root in chart.roots.values()}
        defined = {definition.var.label: definition for definition in layer}
        for label, by in chart.eliminated.items():
            if label in roots:
                yield self.root(roots[label], by)
            elif label in defined and by == defined[label]:
                yield {"kind": "unfolded", "of": label}
            else:
                read = set(variables(by.expr))
                through = next(
                    d.var.label
                    for d in layer
                    if d.var in read and by.var in variables(d.expr) and not d.expr.has(SumOver)
                )
                yield {"kind": "solved", "of": label, "by": self.tree(by.expr), "through": through}

    def label(self, expr: Expr) -> str:
        (var,) = variables(expr)
        return var.label

    def root(self, root: Root, by: Definition) -> Json:
        """``times`` is what stands before the eliminated quantity in the base."""
        plain = NormalForm(replace(self.derivation.chart, eliminated={}, roots={}, identities=()))
        times = plain.poly(root.base)[((by.var, 1),)].as_expr()
        return {
            "kind": "root",
            "root": root.var.label,
            "indices": _indices(root.var),
            "base": self.tree(root.base),
            "degree": root.degree,
            "of": by.var.label,
            "by": self.tree(by.expr),
            "times": self.tree(times),
            "condition": None if root.base.is_positive else "the base is positive",
        }

    def identities(self) -> Iterator[Json]:
        chart = self.derivation.chart
        for known, identity in enumerate(chart.identities):
            before = NormalForm(replace(chart, identities=chart.identities[:known]))
            definition = self.derivation.layer[identity.source.label]
            poly = before.poly(definition.expr - definition.var)
            factor = {
                tuple(item for item in powers if item[0] != identity.total): number
                for powers, number in poly.items()
                if identity.total in dict(powers)
            }
            yield {
                "of": identity.source.label,
                "sum": self.tree(identity.total),
                "is": self.tree(identity.value),
                "times": self.tree(before.expr(factor)),
            }

    # --- Results ------------------------------------------------------------------------------

    def result(self, result: Result, of: str) -> Json:
        steps = [self.step(step) for step in result.steps]
        start, closed = self.tree(result.start), self.tree(result.closed)
        return {"of": of, "start": start, "steps": steps, "closed": closed}

    def step(self, step: Step) -> Json:
        formulas = [self.tree(formula) for formula in step.reason.formulas]
        return {
            "rule": step.rule,
            "why": {"words": step.reason.template, "formulas": formulas},
            "before": self.tree(step.before),
            "after": self.tree(step.after),
        }

    def jacobian(self) -> Json:
        jacobian = self.derivation.jacobian
        if jacobian is None:
            return None
        pairs = zip(jacobian.rows, jacobian.columns, strict=True)
        entries = (*jacobian.intermediate, jacobian.entry)
        return {
            "wrt": self.derivation.layer.data.label,
            "columns": {row.name: column.name for row, column in pairs},
            "entries": [self.result(result, _of(result)) for result in entries],
            **{
                d.var.label: {"indices": _indices(d.var), "is": self.tree(d.expr)}
                for d in (jacobian.u, jacobian.R)
            },
        }

    def fact(self, fact: Fact) -> Json:
        return {
            "says": fact.says.template,
            "left": self.tree(fact.lhs),
            "steps": [self.step(step) for step in fact.steps],
            "right": self.tree(fact.rhs),
        }

    def tree(self, expr: Expr) -> Json:
        """A formula as nested lists.  Raises InputError for what the format has no form for."""
        match expr:
            case Var():
                return ["var", expr.label, *_indices(expr)]
            case Rational():
                return int(expr) if expr.q == 1 else ["ratio", int(expr.p), int(expr.q)]
            case Add():
                return ["add", *(self.tree(arg) for arg in expr.args)]
            case Mul():
                return ["mul", *(self.tree(arg) for arg in expr.args)]
            case Pow() if expr.exp.is_Rational:
                return ["pow", self.tree(expr.base), int(expr.exp.p), int(expr.exp.q)]
            case SumOver():
                return ["sum", self.tree(expr.body), *(axis.name for axis in expr.axes)]
            case Delta():
                return ["delta", *(axis.name for axis in expr.indices)]
            case Function() if type(expr) in FUNCTIONS:
                return ["fn", FUNCTIONS[type(expr)], *(self.tree(arg) for arg in expr.args)]
            case Symbol():
                axes = self.derivation.layer.axes
                return ["size", next(axis.name for axis in axes if axis.size == expr)]
        raise InputError(f"a certificate has no form for {type(expr).__name__}: {expr}")


def _indices(var: Var) -> list[str]:
    return [axis.name for axis in var.axes]


def _of(result: Result) -> str:
    assert isinstance(result.lhs, JacobianEntry)
    return result.lhs.of.label
