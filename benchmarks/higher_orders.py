"""Are second and third derivatives of Batch Norm right, ours and PyTorch's, in float64?

The truth is the definition on nested dual numbers of 50 digits (:mod:`verify.exact_orders`).  Ours
are the generated kernel, and the derived closed forms of D₂y and D₃y on floats.  PyTorch
is asked in reverse mode (autograd of autograd), in forward mode (nested torch.func.jvp), and once
more for a batch norm composed of elementary operations, whose derivatives are nobody's by hand.

    python -m benchmarks.higher_orders [--seed N]

prints the table as Markdown; benchmarks/higher_orders.md is such an output.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray

from derive.studies.higher_orders import STUDY
from generated.numpy_kernels import batch_norm
from verify.evaluate import Evaluator
from verify.exact_orders import Table, directional, double_backward
from verify.precise import Reals, entries

Floats = NDArray[np.float64]
ROWS, CHANNELS, EPS = 12, 2, 1e-5
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Batch:
    """x, γ, dy, the cotangents v and a direction p."""

    name: str
    x: Floats
    gamma: Floats
    dy: Floats
    v_dx: Floats
    v_dgamma: Floats
    v_dbeta: Floats
    p: Floats


def batches(seed: int) -> list[Batch]:
    """Well-conditioned, and with a mean that is large beside the spread."""
    made = []
    for name, mean in (("mean 0.5, std 1", 0.5), ("mean 1e6, std 1", 1e6)):
        rng = np.random.default_rng(seed)
        x, dy, v_dx, p = rng.normal(size=(4, ROWS, CHANNELS))
        gamma, v_dgamma, v_dbeta = rng.normal(1.0, 0.5, (3, CHANNELS))
        made.append(Batch(name, x + mean, gamma, dy, v_dx, v_dgamma, v_dbeta, p))
    return made


Found = dict[str, Floats]
# What is compared; the last is Σ dy D₃y, as reverse mode finds it.
QUANTITIES = ("g_dy", "g_x", "g_gamma", "D2y", "D3y", "<dy, D3y>")


def truth(batch: Batch) -> Found:
    """Nested dual numbers of 50 digits."""
    context = MPContext()
    context.dps = 50
    reals = Reals(context)

    def table(values: Floats) -> Table:
        return entries(reals, values)

    given = {"x": table(batch.x), "gamma": table(batch.gamma)}
    given |= {"beta": table(np.zeros(CHANNELS)), "eps": {(): context.mpf(EPS)}}
    v = {name: table(getattr(batch, name)) for name in ("v_dx", "v_dgamma", "v_dbeta")}
    found = dict(double_backward(reals, given, table(batch.dy), v))
    p = table(batch.p)
    found |= {f"D{k}y": directional(reals, given, [p] * k) for k in (2, 3)}
    arrays = {name: _array(entry) for name, entry in found.items()}
    paired = sum(table(batch.dy)[at] * value for at, value in found["D3y"].items())
    return arrays | {"<dy, D3y>": np.array([float(paired)])}


def _array(table: Table) -> Floats:
    array = np.empty([1 + max(k) for k in zip(*table, strict=True)])
    for index, value in table.items():
        array[index] = float(value)
    return array


class Doubles:
    """Python's floats as an arithmetic."""

    def number(self, value: int | Fraction) -> float:
        return float(value)

    def sqrt(self, a: float) -> float:
        return math.sqrt(a)

    def exp(self, a: float) -> float:
        return math.exp(a)

    def log(self, a: float) -> float:
        return math.log(a)

    def transcendental(self, name: str, a: float) -> float:
        raise NotImplementedError(f"{name} is in no formula here")


def ours(batch: Batch) -> Found:
    """The kernel, and the closed forms of the study."""
    _, cache = batch_norm.forward(batch.x, batch.gamma, eps=EPS)
    v = batch.v_dx, batch.v_dgamma, batch.v_dbeta
    second = batch_norm.double_backward(*v, batch.dy, cache)
    found = dict(zip(("g_dy", "g_x", "g_gamma"), second, strict=True))
    found |= _closed_forms(batch, cache)
    return found | {"<dy, D3y>": np.array([(batch.dy * found["D3y"]).sum()])}


def _closed_forms(batch: Batch, cache: batch_norm.Cache) -> Found:
    """On floats, from the statistics of the kernel."""
    x_hat = (batch.x - cache.mean - cache.mean_rest) * cache.inv_std
    arrays = {"x_hat": x_hat, "p": batch.p, "gamma": batch.gamma, "var": cache.var.ravel()}
    values: dict[str, Any] = {
        name: {at: float(value) for at, value in np.ndenumerate(array)}
        for name, array in arrays.items()
    }
    values["eps"] = {(): EPS}
    section = STUDY.develop()[-1]
    for definition in (*section.entries[:2], *section.conclusions):  # first p, centred
        _add(values, definition, Doubles())
    return {name: _array(values[name]) for name in ("D2y", "D3y")}


def _add(values: dict[str, Any], definition: Any, doubles: Doubles) -> None:
    evaluator = Evaluator(doubles, values, {"m": ROWS, "C": CHANNELS})
    sizes = {"n": ROWS, "c": CHANNELS}
    shape = [sizes[axis.base] for axis in definition.var.axes]
    values[definition.var.label] = {
        at: evaluator.at(definition.expr, dict(zip(definition.var.axes, at, strict=True)))
        for at in np.ndindex(*shape)
    }


def torch_results(torch: Any, batch: Batch, *, composed: bool) -> Found:
    """Reverse mode for the double backward, and three times; forward mode for D₂y and D₃y."""
    functional = importlib.import_module("torch.nn.functional")

    def layer(x: Any, gamma: Any, beta: Any) -> Any:
        if not composed:
            return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)
        mu = x.mean(0)
        var = ((x - mu) ** 2).mean(0)
        return gamma * (x - mu) / torch.sqrt(var + EPS) + beta

    def leaf(values: Floats) -> Any:
        return torch.tensor(values, requires_grad=True)

    x, gamma, beta, dy = map(leaf, (batch.x, batch.gamma, np.zeros(CHANNELS), batch.dy))
    v = [torch.tensor(a) for a in (batch.v_dx, batch.v_dgamma, batch.v_dbeta)]
    first = torch.autograd.grad(layer(x, gamma, beta), (x, gamma, beta), dy, create_graph=True)
    second = torch.autograd.grad(first, (dy, x, gamma), v)
    found = {
        name: value.detach().numpy()
        for name, value in zip(("g_dy", "g_x", "g_gamma"), second, strict=True)
    }
    p = torch.tensor(batch.p)
    value = (dy.detach() * layer(x, gamma, beta)).sum()
    for _ in range(3):
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        value = (slope * p).sum()
    found["<dy, D3y>"] = np.array([float(value.detach())])

    def along(function: Any) -> Any:
        return lambda at: torch.func.jvp(function, (at,), (p,))[1]

    function = along(lambda at: layer(at, gamma.detach(), beta.detach()))
    for order in (2, 3):
        function = along(function)
        try:
            found[f"D{order}y"] = function(x.detach()).detach().numpy()
        except (RuntimeError, NotImplementedError):
            continue  # it says that it cannot, which is better than a wrong number
    return found


def error(found: Found, true: Found, name: str) -> str:
    """max |result − true| / max |true|."""
    if name not in found:
        return "refused"
    return f"{abs(found[name] - true[name]).max() / abs(true[name]).max():.1e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Higher orders: backnorm beside PyTorch.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch: Any = None
    if importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
    name = f"PyTorch {torch.__version__.split('+')[0]}" if torch else "PyTorch"
    lines = [f"| batch | quantity | backnorm | {name}, batch_norm | {name}, composed |"]
    lines.append("|---|---|---|---|---|")
    for batch in batches(options.seed):
        true = truth(batch)
        found = [ours(batch)]
        if torch:
            found += [torch_results(torch, batch, composed=how) for how in (False, True)]
        for quantity in QUANTITIES:
            cells = [error(each, true, quantity) for each in found]
            cells += [NOT_INSTALLED] * (3 - len(cells))
            lines.append(f"| {batch.name} | {quantity} | {' | '.join(cells)} |")
    print(PAGE.format(seed=options.seed))
    print("\n".join(lines))


PAGE = """\
# Higher orders of Batch Norm

Written by `python -m benchmarks.higher_orders`, seed {seed}. Each number is the largest error of
one quantity in float64, max |result − true| / max |true|. The truth is the definition on nested
dual numbers of 50 digits, in which the statistics depend on x as they are defined to.

- g_dy, g_x, g_gamma: the double backward, order 2; ours is the generated `double_backward`,
  PyTorch's is autograd of its own backward.
- D2y, D3y: the second and third derivative of y along one direction; ours are the derived closed
  forms, PyTorch's nested `torch.func.jvp`.
- <dy, D3y>: the third derivative of the loss along one direction; PyTorch's by reverse mode alone.

*composed*: the same definition in PyTorch's elementary operations in the place of `batch_norm`.
"""

if __name__ == "__main__":
    main()
