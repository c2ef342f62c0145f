"""Who was asked what, how often, and whether they agree: the comparison, and its page."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from derive.derivation import Derivation, derive
from derive.layers import LAYERS
from verify.confirmation import automatic, differences, ours
from verify.confirmation.ours import Answer
from verify.confirmation.problem import Problem, problem

SEEDS = (0, 1)
FLOAT64 = 1e-12  # of the largest number in the answer; what is measured is below 10⁻¹⁵
EXTENDED = 1e-30  # the differences themselves are off by some 10⁻³⁷


@dataclass(frozen=True)
class Witness:
    """Somebody to ask: ``answers`` gives the first and the second order of a problem.

    ``needs`` is the module that has to be installed; ``limit`` the largest relative error allowed.
    """

    name: str
    needs: str
    limit: float
    answers: Callable[[Problem], tuple[Answer, Answer]]

    @property
    def installed(self) -> bool:
        return not self.needs or importlib.util.find_spec(self.needs) is not None


_torch = cache(automatic.Torch)
_jax = cache(automatic.Jax)


def _differences(asked: Problem) -> tuple[Answer, Answer]:
    return differences.first(asked), differences.second(asked) if asked.has_second else {}


WITNESSES = (
    Witness("PyTorch", "torch", FLOAT64, lambda asked: _torch().answers(asked)),
    Witness("JAX", "jax", FLOAT64, lambda asked: _jax().answers(asked)),
    Witness("finite differences", "", EXTENDED, _differences),
    Witness("our kernel", "", FLOAT64, ours.kernel),
)


@dataclass(frozen=True)
class Comparison:
    """One answer beside ours: how many numbers, and the largest error relative to the largest."""

    layer: str
    witness: Witness
    order: int
    cases: int
    error: float

    @property
    def agrees(self) -> bool:
        return self.error <= self.witness.limit


def compare(name: str, witnesses: Sequence[Witness], seed: int) -> Iterator[Comparison]:
    """Ask about one layer.  An answer that lacks a gradient is compared as far as it goes."""
    derivation = derive(LAYERS[name])
    asked = problem(derivation.layer, seed)
    own = (ours.first(derivation, asked), _second(derivation, asked))
    for witness in witnesses:
        for order, answer in enumerate(witness.answers(asked), start=1):
            if answer:
                cases = sum(array.size for array in answer.values())
                error = _error(answer, own[order - 1])
                yield Comparison(name, witness, order, cases, error)


def _second(derivation: Derivation, asked: Problem) -> Answer:
    return ours.second(derivation, asked) if asked.has_second else {}


def _error(answer: Answer, own: Answer) -> float:
    if answer.keys() != own.keys() or any(answer[k].shape != own[k].shape for k in own):
        return float("inf")
    pairs = [(a, b) for k in own for a, b in zip(answer[k].flat, own[k].flat, strict=True)]
    largest: Any = max(abs(b) for _, b in pairs)
    return float(max(abs(a - b) for a, b in pairs) / largest)


# --- The page -------------------------------------------------------------------------------------


def planned(name: str, witness: Witness, order: int) -> int:
    """How many numbers are compared, known without asking anybody."""
    if witness.name == "our kernel":
        has = name in ours.KERNELS if order == 1 else ours.has_double_backward(name)
    else:
        has = not witness.needs or name in automatic.FORWARDS
    if not has:
        return 0
    return sum(problem(LAYERS[name], seed).cases(order) for seed in SEEDS)


def page() -> str:
    """docs/confirmation.md: the same whoever is installed."""
    heads = [f"{witness.name}, {order}" for witness in WITNESSES for order in ("1st", "2nd")]
    rows = [["layer", "PyTorch's own", *heads], ["---", "---", *("---:" for _ in heads)]]
    totals = [0] * len(heads)
    for name in LAYERS:
        cells = [planned(name, witness, order) for witness in WITNESSES for order in (1, 2)]
        totals = [total + cell for total, cell in zip(totals, cells, strict=True)]
        own = f"`{automatic.OWN[name][0]}`" if name in automatic.OWN else "-"
        rows.append([f"`{name}`", own, *(str(cell or "-") for cell in cells)])
    rows.append(["all", "", *(f"{total:,}" for total in totals)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return ABOUT.format(seeds=len(SEEDS), digits=ours.DIGITS, step=differences.STEP) + table + "\n"


ABOUT = """\
# Independent confirmation

Our gradients beside those of others, who share no code with ours: each number in the table is how
many numbers were compared, all of which agree. `python -m verify.confirmation` asks everybody and
writes this page; the tests ask whoever is installed.

- **Ours** are the closed forms that `backnorm derive` prints, evaluated with {digits} digits at
  random inputs ({seeds} draws a layer), for a random cotangent of the output. The second order is
  the double backward: the gradient of Σ v_dx dx + Σ v_dγ dγ + … with respect to dy and every input,
  for random v.
- **PyTorch**: float64 autograd, once and of itself. Where PyTorch has the layer (the second column,
  in `torch.nn.functional`) its own implementation is asked, else the layer's formula.
- **JAX**: float64 `jax.grad`, once and of itself, of the layer's formula.
- **Finite differences** with {digits} digits and a step of 10^-{step}, of separately written
  definitions: no rule of differentiation at all.
- **Our kernel**: the generated NumPy kernel in float64, beside the closed form.

Agreement means: within 10⁻¹² of the largest number in the answer in float64 (measured: below
2·10⁻¹⁵), within 10⁻³⁰ for finite differences (measured: below 10⁻³⁵). A block of a linear layer,
Batch Norm and an activation is differentiated once only.

"""
