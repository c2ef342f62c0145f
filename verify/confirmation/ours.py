"""What we say: the closed forms in extended precision, and the generated kernels in float64."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import MPContext

from codegen.emit import MODULE_OF
from derive.derivation import Derivation
from derive.expr import Definition, adjoint
from derive.second_order import cotangent, double_backward
from verify.confirmation.problem import Floats, Problem
from verify.evaluate import Evaluator
from verify.exact import run
from verify.fields import Index, Scalar
from verify.precise import Reals, entries
from verify.references import REFERENCES

Answer = Mapping[str, Any]  # an array of numbers by the label of what is differentiated by
DIGITS = 80


def reals() -> Reals:
    context = MPContext()
    context.dps = DIGITS
    return Reals(context)


def first(derivation: Derivation, problem: Problem) -> Answer:
    """The closed form of each gradient."""
    layer = derivation.layer
    values = _values(problem)
    _define(values, problem, (result.definition for result in derivation.adjoints))
    return {var.label: _array(values[adjoint(var).label]) for var in layer.inputs}


def second(derivation: Derivation, problem: Problem) -> Answer:
    """The closed forms of the double backward, with respect to ``cotangent`` and each input."""
    layer, order = derivation.layer, double_backward(derivation)
    values = _values(problem)
    for var in layer.inputs:
        label = cotangent(adjoint(var)).label
        values[label] = entries(reals(), problem.second[var.label])
    _define(values, problem, order.split)
    _define(values, problem, (order.closing.sums[label] for label in order.closing.sums))
    _define(values, problem, (result.definition for result in order.results))
    names = {"cotangent": f"g_{adjoint(layer.output).label}"}
    names |= {var.label: f"g_{var.label}" for var in layer.inputs}
    zeros = {label: np.zeros_like(array) for label, array in problem.inputs.items()}
    found = {name: _array(values[g]) for name, g in names.items() if g in values}
    return {**zeros, **found}


def _values(problem: Problem) -> dict[str, Mapping[Index, Scalar]]:
    numbers = reals()
    given = {label: entries(numbers, array) for label, array in problem.given.items()}
    forward = REFERENCES[problem.layer.name].forward
    dy = adjoint(problem.layer.output).label
    return {**given, **run(forward, numbers, given), dy: entries(numbers, problem.cotangent)}


def _define(
    values: dict[str, Mapping[Index, Scalar]], problem: Problem, definitions: Iterable[Definition]
) -> None:
    """The values of definitions, each in terms of those before it."""
    evaluator = Evaluator(reals(), values, problem.sizes)
    for definition in definitions:
        axes = definition.var.axes
        places = product(*(range(problem.sizes[axis.size.name]) for axis in axes))
        values[definition.var.label] = {
            at: evaluator.at(definition.expr, dict(zip(axes, at, strict=True))) for at in places
        }


def _array(table: Mapping[Index, Scalar]) -> Any:
    shape = tuple(max(positions) + 1 for positions in zip(*table, strict=True))
    array = np.empty(shape, dtype=object)
    for at, value in table.items():
        array[at] = value
    return array


# --- Kernels --------------------------------------------------------------------------------------

KERNELS = {
    name: module for name, module in MODULE_OF.items() if module != "block" and name in REFERENCES
}


def kernel(problem: Problem) -> tuple[Answer, Answer]:
    """The gradients by the generated NumPy kernel, of both orders; empty where it has none."""
    name = problem.layer.name
    if name not in KERNELS:
        return {}, {}
    module = importlib.import_module(f"generated.numpy_kernels.{KERNELS[name]}")
    if name == "batch_norm_inference":
        return _inference(module, problem), {}
    x = problem.given["x"]
    options = {"eps": float(problem.given["eps"])} if "eps" in problem.given else {}
    flat = (len(x), -1, x.shape[-1]) if name == "group_norm" else x.shape
    parameters = [problem.given[var.label].reshape(-1) for var in problem.layer.learnt]
    groups = [x.shape[1]] if name == "group_norm" else []
    _, cache = module.forward(x.reshape(flat), *parameters, *groups, **options)
    dy = problem.cotangent.reshape(flat)
    gradients = module.backward(dy, cache)
    several = gradients if isinstance(gradients, tuple) else (gradients,)
    first = _shaped(problem, problem.inputs, several)
    if not has_double_backward(name):
        return first, {}
    v_x, *v = (problem.second[label] for label in problem.inputs)
    again = module.double_backward(v_x.reshape(flat), *(a.reshape(-1) for a in v), dy, cache)
    moving = (label for label in ("x", "gamma") if label in problem.inputs)
    return first, _shaped(problem, ("cotangent", *moving), again)


def has_double_backward(name: str) -> bool:
    """Whether the kernel of a layer goes on to the second order."""
    if name not in KERNELS or name == "batch_norm_inference":
        return False
    module = importlib.import_module(f"generated.numpy_kernels.{KERNELS[name]}")
    return hasattr(module, "double_backward")


def _inference(module: ModuleType, problem: Problem) -> Answer:
    given = problem.given
    arguments = (given[label] for label in ("x", "gamma", "mean", "variance"))
    gradients = module.infer_backward(problem.cotangent, *arguments, eps=float(given["eps"]))
    return _shaped(problem, problem.inputs, gradients)


def _shaped(problem: Problem, labels: Iterable[str], arrays: Iterable[Floats]) -> Answer:
    shapes = {label: values.shape for label, values in problem.inputs.items()}
    shapes["cotangent"] = problem.cotangent.shape
    found = {k: array.reshape(shapes[k]) for k, array in zip(labels, arrays, strict=True)}
    if "cotangent" in found and "beta" in problem.inputs:  # the gradients do not vary with it
        found["beta"] = np.zeros(shapes["beta"])
    return found
