"""How accurate are we, NumPy's plain two-pass and PyTorch's CPU kernel, on the same hard batches?

For each row of the contract's accuracy table the worst scaled error of y, dx, dγ and dβ, measured
by :mod:`verify.accuracy` against values that are exact.  All three are called alike: forward, then
backward with a random dy.

    python -m benchmarks.accuracy [--quick] [--seed N]

prints the table as Markdown; benchmarks/accuracy.md is such an output.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from generated.numpy_kernels import batch_norm
from verify import accuracy
from verify.accuracy_cases import LISTED, Array
from verify.report import Result

NOT_INSTALLED = "not installed"
GREEK = {"dgamma": "dγ", "dbeta": "dβ"}


class TwoPass:
    """What one writes first: whole arrays, mean, then variance, all in the dtype of the data."""

    name = f"NumPy {np.__version__}, plain"

    @staticmethod
    def forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Any]:
        over = tuple(axis for axis in range(x.ndim) if axis != 1)
        mean = x.mean(axis=over, keepdims=True)
        var = ((x - mean) ** 2).mean(axis=over, keepdims=True)
        gamma, beta = gamma.reshape(mean.shape), beta.reshape(mean.shape)
        inv_std = 1 / np.sqrt(var + eps)
        x_hat = (x - mean) * inv_std
        return gamma * x_hat + beta, (x_hat, inv_std, gamma, over)

    @staticmethod
    def backward(dy: Array, cache: Any) -> tuple[Array, Array, Array]:
        x_hat, inv_std, gamma, over = cache
        shift = dy.mean(axis=over, keepdims=True)
        slope = (dy * x_hat).mean(axis=over, keepdims=True)
        dx = gamma * inv_std * (dy - shift - x_hat * slope)
        return dx, (dy * x_hat).sum(axis=over), dy.sum(axis=over)


class Torch:
    """PyTorch's batch_norm on the CPU, its gradients by autograd."""

    def __init__(self, torch: Any) -> None:
        torch.set_num_threads(1)
        self.torch = torch
        self.name = f"PyTorch {torch.__version__.partition('+')[0]}"

    def forward(self, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Any]:
        inputs = [self.torch.from_numpy(a.copy()).requires_grad_() for a in (x, gamma, beta)]
        batch_norm = self.torch.nn.functional.batch_norm
        y = batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=eps)
        return y.detach().numpy(), (y, inputs)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, ...]:
        y, inputs = cache
        gradients = self.torch.autograd.grad(y, inputs, self.torch.from_numpy(dy.copy()))
        return tuple(gradient.numpy() for gradient in gradients)


def libraries() -> dict[str, Any]:
    """The kernels by the head of their column; None for one that is not installed."""
    ours = SimpleNamespace(forward=batch_norm.forward, backward=batch_norm.backward)
    found: dict[str, Any] = {"backnorm": ours, TwoPass.name: TwoPass}
    if importlib.util.find_spec("torch") is None:
        return found | {"PyTorch": None}
    torch = Torch(importlib.import_module("torch"))
    return found | {torch.name: torch}


def measure(seed: int, quick: bool) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of the table."""
    kernels = libraries()
    found = {name: _errors(kernel, seed, quick) for name, kernel in kernels.items()}
    heads = ["batch", "limit", *kernels]
    rows = []
    for result in found["backnorm"].values():
        cells = [_cell(errors, result.name) for errors in found.values()]
        rows.append([result.name, f"{result.limit:.0f} {result.unit}", *cells])
    return heads, rows


def _errors(kernel: Any, seed: int, quick: bool) -> dict[str, Result]:
    """The worst result of each batch, by the batch's name."""
    if kernel is None:
        return {}
    results = accuracy.run(kernel, seed=seed, cases=LISTED, quick=quick)
    return {result.name: result for result in accuracy.by_case(results)}


def _cell(errors: dict[str, Result], name: str) -> str:
    if not errors:
        return NOT_INSTALLED
    worst, detail = errors[name].worst, errors[name].detail
    if worst is None or "raised" in detail:
        return "refused"
    shown = f"{worst:.2f}" if worst < 100 else f"{worst:.1e}"
    return f"{shown} {GREEK.get(detail, detail)}"


def report(seed: int, quick: bool) -> str:
    """The whole page."""
    heads, rows = measure(seed, quick)
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    table = [heads, ["-" * width for width in widths], *rows]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    return "\n".join([ABOUT.format(seed=seed), *lines, ""])


ABOUT = """\
# Accuracy on hard batches

Written by `python -m benchmarks.accuracy`, seed {seed}. Each number is the worst scaled error,
max |result − exact| / max |exact|, over y, dx, dγ and dβ of one batch, and stands with the one
that it is found in. float32 counts in u = 2⁻²⁴, so that rounding an exact result gives at most 1;
float16 counts in its ulp, so that rounding gives at most 0.5. Exact values come from rational
arithmetic on the same rounded inputs. On the blood panel every channel is scaled by itself.
*inf*: something else than zero where the exact result is zero (dγ of a constant column), or NaN or
infinity where it is finite.

NumPy's plain two-pass is `x.mean(axis=0)`, `((x - mean)**2).mean(axis=0)` and the closed form of
dx, in the dtype of the data. PyTorch is `torch.nn.functional.batch_norm` on the CPU with one
thread, its gradients by autograd. How both group their sums depends on the processor's vector
width, so their digits differ a little between machines.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Accuracy beside NumPy's two-pass and PyTorch.")
    parser.add_argument("--quick", action="store_true", help="leave out the two longest batches")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")
    chosen = parser.parse_args(arguments)
    print(report(chosen.seed, chosen.quick), end="")


if __name__ == "__main__":
    main()
