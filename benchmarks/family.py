"""Every layer in one table: its closed forms, what is guaranteed of them, and PyTorch beside them.

The first table counts the terms and the different sums of each closed form, and how many equalities
were proved, exact and checked (:mod:`verify.verification`).  The second compares derivatives of the
first three orders in float64 with the definition on nested dual numbers of 50 digits.

    python -m benchmarks.family [--seed N] [--no-guarantees]

prints the page as Markdown; benchmarks/family.md is such an output.  It takes minutes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray
from sympy import Add, Expr, Mul

from benchmarks.higher_orders import Doubles, Found, error
from codegen.second_order import LAYERS as WITH_DOUBLE_BACKWARD
from derive.derivation import derive
from derive.expr import SumOver, Var, adjoint, canonical
from derive.layer import Layer
from derive.layers import LAYERS
from derive.orders import Orders, orders_of
from verify.duals import Duals
from verify.exact import moved_run
from verify.exact_family import evaluated, table_of, truth
from verify.loading import generated_source
from verify.precise import Reals, entries
from verify.references import REFERENCES
from verify.verification import Subject, verify

FAMILY = (
    *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalise"),
    *("weight_standardisation", "softmax", "log_softmax", "softmax_cross_entropy"),
)
GENERATED = Path(__file__).parents[1] / "generated"
SIZES = {1: 8, 2: 3}  # of what is reduced, by how many axes that is
OTHER = 2
EPS = 1e-5
QUANTITIES = ("dx", "g_x", "D2y", "D3y")
Floats = NDArray[np.float64]


# --- Closed forms ---------------------------------------------------------------------------------


def terms(expr: Expr) -> int:
    """How many terms a formula has once its brackets are multiplied out; a sum over an axis is one
    factor."""
    if isinstance(expr, Add):
        return sum(terms(arg) for arg in expr.args)
    if isinstance(expr, Mul):
        return prod(terms(arg) for arg in expr.args)
    return 1


def sums(expressions: Sequence[Expr]) -> int:
    """How many different sums they have, those inside others included."""
    return len({canonical(total) for expr in expressions for total in expr.atoms(SumOver)})


def structure(orders: Orders) -> list[str]:
    """Terms and sums of dx, of the double backward, of D₂y and of D₃y."""
    derivation = orders.derivation
    dx = derivation[adjoint(derivation.layer.data).label].closed
    second = [orders.second.closing.written_out(r) for r in orders.second.results]
    groups = [[dx], [d.expr for d in second], *([o.written_out.expr] for o in orders.along[1:])]
    named = [0, sum(d.expr.has(SumOver) for d in orders.second.split), 0, 0]
    return [
        f"{sum(map(terms, group))}, {sums(group)}" + (f" + {means}" if means else "")
        for group, means in zip(groups, named, strict=True)
    ]


# --- Guarantees -----------------------------------------------------------------------------------


def guarantees(name: str, orders: Orders, seed: int) -> list[str]:
    """How many equalities were proved, are exact, and are within their limits."""
    subject = Subject(orders.derivation, generated_source(GENERATED, name))
    results = verify(subject, seed=seed, quick=True)
    if any(not r.ok and not r.skipped for r in results):
        raise SystemExit(f"{name} fails its verification; backnorm verify {name} says where")
    counts = {
        group: sum(r.cases for r in results if r.group == group)
        for group in ("proved", "exact", "checked")
    }
    return [f"{count:,}" if count else "no kernel" for count in counts.values()]


# --- Floating point -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Random values of everything that a layer's derivatives mention, by label."""

    sizes: Mapping[str, int]
    given: Mapping[str, Floats]
    cotangents: Mapping[str, Floats]
    dy: Floats
    direction: Floats


def batch_of(orders: Orders, seed: int) -> Batch:
    """x of mean 0.5 and deviation 1; positive targets; ε = 1e-5."""
    layer, rng = orders.derivation.layer, np.random.default_rng(seed)
    reduced = layer.reduced_axes
    sizes = {
        axis.size.name: SIZES[len(reduced)] if axis in reduced else OTHER for axis in layer.axes
    }

    def draw(var: Var, mean: float = 0.0) -> Floats:
        return rng.normal(mean, 1.0, [sizes[axis.size.name] for axis in var.axes])

    given = {layer.data.label: draw(layer.data, 0.5)}
    given |= {var.label: draw(var, 1.0) for var in layer.learnt}
    given |= {v.label: abs(draw(v)) if v.axes else np.array(EPS) for v in layer.parameters}
    cotangents = {f"v_d{var.label}": draw(var) for var in layer.inputs}
    return Batch(sizes, given, cotangents, draw(layer.output), draw(layer.data))


def true_values(orders: Orders, batch: Batch) -> Found:
    """Dual numbers of 50 digits, nested for all but dx."""
    context = MPContext()
    context.dps = 50
    reals = Reals(context)
    layer = orders.derivation.layer
    reference = REFERENCES[layer.name]
    given = {label: entries(reals, values) for label, values in batch.given.items()}
    cotangents = {label: entries(reals, values) for label, values in batch.cotangents.items()}
    dy, along = entries(reals, batch.dy), entries(reals, batch.direction)
    found = truth(orders, reference, reals, given, dy, cotangents, along)
    data, output, duals = layer.data.label, layer.output.label, Duals(reals)
    found["dx"] = {
        at: sum(
            dy[i] * duals.derivative(value)
            for i, value in moved_run(reference.forward, duals, given, data, at)[output].items()
        )
        for at in given[data]
    }
    return _renamed(orders, {label: _array(table) for label, table in found.items()})


def ours(orders: Orders, batch: Batch) -> Found:
    """The generated kernel where there is one, the closed forms on floats for all else."""
    layer, doubles = orders.derivation.layer, Doubles()
    known: dict[str, Any] = {
        label: {at: float(values[at]) for at in np.ndindex(values.shape)}
        for label, values in {
            **batch.given,
            **batch.cotangents,
            adjoint(layer.output).label: batch.dy,
            orders.direction.label: batch.direction,
        }.items()
    }
    for definition in layer:
        known[definition.var.label] = table_of(definition, doubles, known, batch.sizes)
    found = {k: _array(v) for k, v in evaluated(orders, doubles, known, batch.sizes).items()}
    result = orders.derivation[adjoint(layer.data).label]
    found["dx"] = _array(table_of(result.definition, doubles, known, batch.sizes))
    return {**_renamed(orders, found), **_of_kernel(orders, batch)}


def _of_kernel(orders: Orders, batch: Batch) -> Found:
    """dx and g_x of the generated module."""
    layer = orders.derivation.layer
    if layer not in WITH_DOUBLE_BACKWARD:
        return {}
    module = importlib.import_module(f"generated.numpy_kernels.{layer.name}")
    shape = batch.dy.shape
    learnt = [_flat(batch.given[var.label], layer) for var in layer.learnt]
    options: dict[str, Any] = {"eps": EPS} if layer.parameters else {}
    options |= {"groups": shape[1]} if len(shape) > 3 else {}
    _, cache = module.forward(_flat(batch.given["x"], layer), *learnt, **options)
    v = [_flat(batch.cotangents[f"v_d{var.label}"], layer) for var in layer.inputs]
    gradients = module.backward(_flat(batch.dy, layer), cache)
    dx = gradients[0] if isinstance(gradients, tuple) else gradients
    g_x = module.double_backward(*v, _flat(batch.dy, layer), cache)[1]
    return {"dx": dx.reshape(shape), "g_x": g_x.reshape(shape)}


def _flat(array: Floats, layer: Layer) -> Floats:
    """[n, g, c, s] and [g, c] with all channels on one axis, as kernels and PyTorch take them."""
    if len(layer.data.axes) < 4:
        return array
    return array.reshape(-1) if array.ndim == 2 else array.reshape(len(array), -1, array.shape[3])


def _renamed(orders: Orders, found: Mapping[str, Floats]) -> Found:
    """The data called x and the output y, whatever the layer calls them."""
    layer = orders.derivation.layer
    names = {f"g_{layer.data.label}": "g_x"}
    names |= {f"D{k}{layer.output.label}": f"D{k}y" for k in (1, 2, 3)}
    return {names.get(label, label): values for label, values in found.items()}


def _array(table: Mapping[tuple[int, ...], Any]) -> Floats:
    array = np.empty([1 + max(k) for k in zip(*table, strict=True)])
    for index, value in table.items():
        array[index] = float(value)
    return array


# --- PyTorch --------------------------------------------------------------------------------------


def torch_function(torch: Any, name: str, batch: Batch) -> tuple[Any, bool]:
    """The layer as a function of x, γ and β, and whether it is PyTorch's own."""
    nn = importlib.import_module("torch.nn.functional")
    first = next(iter(batch.given.values())).shape
    targets = torch.tensor(batch.given.get("t", np.zeros(1)))

    def standardised(w: Any) -> Any:
        centred = w - w.mean(1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(1, keepdim=True) + EPS)

    own = {
        "batch_norm": lambda x, g, b: nn.batch_norm(x, None, None, g, b, True, eps=EPS),
        "layer_norm": lambda x, g, b: nn.layer_norm(x, first[-1:], g, b, EPS),
        "rms_norm": lambda x, g: nn.rms_norm(x, first[-1:], g, EPS),
        "group_norm": lambda x, g, b: nn.group_norm(x, first[1], g, b, EPS),
        "instance_norm": lambda x, g, b: nn.instance_norm(x, weight=g, bias=b, eps=EPS),
        "softmax": lambda x: nn.softmax(x, 1),
        "log_softmax": lambda x: nn.log_softmax(x, 1),
        "softmax_cross_entropy": lambda x: nn.cross_entropy(x, targets, reduction="none"),
    }
    composed = {
        "l2_normalise": lambda x: x / torch.sqrt((x**2).sum(1, keepdim=True) + EPS),
        "weight_standardisation": standardised,
    }
    return (own[name], True) if name in own else (composed[name], False)


def torch_results(torch: Any, orders: Orders, batch: Batch) -> Found:
    """Reverse mode for dx and g_x (autograd of autograd), nested forward mode for D₂y and D₃y."""
    layer = orders.derivation.layer
    function, _ = torch_function(torch, layer.name, batch)
    inputs = [_flat(batch.given[var.label], layer) for var in layer.inputs]
    leaves = [torch.tensor(a, requires_grad=True) for a in inputs]
    v = [torch.tensor(_flat(batch.cotangents[f"v_d{var.label}"], layer)) for var in layer.inputs]
    y = function(*leaves)
    first = torch.autograd.grad(y, leaves, torch.tensor(_flat(batch.dy, layer)), create_graph=True)
    loss = sum((slope * weight).sum() for slope, weight in zip(first, v, strict=True))
    (g_x,) = torch.autograd.grad(loss, leaves[:1])
    shape = batch.direction.shape
    found = {"dx": first[0].detach().numpy().reshape(shape), "g_x": g_x.numpy().reshape(shape)}
    still, p = [leaf.detach() for leaf in leaves], torch.tensor(_flat(batch.direction, layer))

    def along(inner: Any) -> Any:
        return lambda at: torch.func.jvp(inner, (at,), (p,))[1]

    derivative = along(lambda at: function(at, *still[1:]))
    for order in (2, 3):
        derivative = along(derivative)
        try:
            found[f"D{order}y"] = derivative(still[0]).numpy().reshape(batch.dy.shape)
        except (RuntimeError, NotImplementedError):
            continue  # it says that it cannot, which is better than a wrong number
    return found


# --- The page -------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description="Every layer: forms, guarantees, PyTorch.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-guarantees", action="store_true", help="leave verification out")
    options = parser.parse_args(arguments)
    torch: Any = None
    if importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
    known = {name: orders_of(derive(LAYERS[name])) for name in FAMILY}
    print(PAGE.format(seed=options.seed))
    print("| layer | dx | double backward | D2y | D3y | proved | exact | checked |")
    print("|---|---|---|---|---|---|---|---|")
    for name, orders in known.items():
        counts = [""] * 3 if options.no_guarantees else guarantees(name, orders, options.seed)
        print(f"| {name} | {' | '.join([*structure(orders), *counts])} |", flush=True)
    print(FLOATS.format(version=torch.__version__.split("+")[0] if torch else "not installed"))
    print(f"| layer | by | {' | '.join(QUANTITIES)} |")
    print(f"|---|---|{'---|' * len(QUANTITIES)}")
    for name, orders in known.items():
        batch = batch_of(orders, options.seed)
        true = true_values(orders, batch)
        by = {"backnorm": ours(orders, batch)}
        if torch:
            own = torch_function(torch, name, batch)[1]
            by["PyTorch" if own else "PyTorch, composed"] = torch_results(torch, orders, batch)
        for what, found in by.items():
            cells = [error(found, true, quantity) for quantity in QUANTITIES]
            print(f"| {name} | {what} | {' | '.join(cells)} |", flush=True)


PAGE = """\
# Every layer: closed forms, guarantees, and PyTorch beside them

Written by `python -m benchmarks.family`, seed {seed}.

For each closed form the number of its terms, brackets multiplied out, and of its different sums;
the double backward is all its results together, and its means are told apart (`12, 3 + 2` is 12
terms, 3 sums and 2 means). D2y and D3y are the second and third derivative of y along one
direction. The last columns are how many equalities were *proved* by normal form for every size, how
many are *exact* (rational and modular arithmetic, kernel included, sampled sizes) and how many
numbers were *checked* in floating point within their limits; every one of them holds.
"""

FLOATS = """
The largest error of a quantity in float64, max |result − true| / max |true|; the truth is the
definition on nested dual numbers of 50 digits. dx is order 1; g_x, the double backward's gradient
of x, and D2y are order 2; D3y is order 3. Ours are the generated kernel where there is one, else
the derived closed forms on floats. PyTorch {version}: dx and g_x in reverse mode, D2y and D3y by
nested `torch.func.jvp`. Where an error is near 1 PyTorch takes saved statistics for constants.
*composed*: PyTorch has no such function, and elementary operations take its place.
"""

if __name__ == "__main__":
    main()
