"""The batches that a kernel is tried on, and what its gradients are there.

Each probe is there for a reason: a wrong term that vanishes on one of them is named by it.  All are
small and well-conditioned, so that in float64 a right formula is right to 10 digits or more,
however it is arranged; cotangents are random, since with dy = 1 the true dx of Batch Norm is 0.

x is (m, C) or (N, C, ...), and for layers of rows (N, m) or (N, ..., m).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from verify.exact_batch_norm import Affine, Channel
from verify.exact_rows import Normalised, Row, parameter_gradients

Floats = NDArray[np.float64]

BATCH, ROWS = "batch_norm", ("layer_norm", "rms_norm")
KERNELS = (BATCH, *ROWS)  # the layers that kernels are tried for
GROWING = (4, 16, 64, 256)  # of m
EPS = 0.3
AGAIN = "plain, again"  # the name of the plain probe where it is the last one


@dataclass(frozen=True, eq=False)
class Probe:
    """A batch for a layer; ``says`` is what is special about it, empty for a plain one."""

    layer: str
    name: str
    x: Floats
    gamma: Floats
    beta: Floats
    dy: Floats
    eps: float = EPS
    says: str = ""

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes of x that statistics are taken over."""
        rank = self.x.ndim
        return (rank - 1,) if self.layer in ROWS else (0, *range(2, rank))

    @property
    def m(self) -> int:
        return int(np.prod([self.x.shape[k] for k in self.reduced]))

    def padded(self, more: int) -> Probe:
        """A matrix with so many axes of length 1 behind it."""
        if not more or self.x.ndim != 2 or self.layer in ROWS:
            return self
        shape = (*self.x.shape, *[1] * more)
        return replace(self, x=self.x.reshape(shape), dy=self.dy.reshape(shape))

    @property
    def unscaled(self) -> Probe:
        """The same with γ = 1."""
        return _unscaled(self)

    @property
    def wide(self) -> Probe:
        """The same numbers in float64; exact numbers as they are."""
        if self.x.dtype == object:
            return self
        x, gamma, beta, dy = (
            np.asarray(a, np.float64) for a in (self.x, self.gamma, self.beta, self.dy)
        )
        return replace(self, x=x, gamma=gamma, beta=beta, dy=dy)

    def lined_up(self, parameter: Floats) -> Floats:
        """γ or β, made to broadcast with x."""
        axis = self.x.ndim - 1 if self.layer in ROWS else 1
        return parameter.reshape([-1 if k == axis else 1 for k in range(self.x.ndim)])

    def centred(self, array: Floats) -> Floats:
        """Less its mean over the reduced axes."""
        return array - array.mean(axis=self.reduced, keepdims=True)

    @property
    def weighted(self) -> Floats:
        """γ dy, whose sums are what a backward pass takes."""
        return self.dy * self.lined_up(self.gamma)

    def with_weighted(self, array: Floats) -> Probe:
        """The same batch with the dy that makes γ dy this array."""
        return replace(self, dy=array / self.lined_up(self.gamma))


def _draw(layer: str, name: str, *shape: int, eps: float = EPS) -> Probe:
    rng = np.random.default_rng([*name.encode(), *shape])
    learnt = shape[-1 if layer in ROWS else 1]
    gamma = rng.uniform(0.5, 2.0, learnt) * rng.choice([-1.0, 1.0], learnt)
    x, dy = rng.normal(0.8, 1.3, shape), rng.normal(0.4, 1.0, shape)
    return Probe(layer, name, x, gamma, rng.normal(size=learnt), dy, eps)


def _no_product(probe: Probe) -> Probe:
    """Σ γ dy x̂ = 0, whatever Σ γ dy is."""
    d, weighted = probe.centred(probe.x), probe.weighted
    if probe.layer == "rms_norm":
        d = probe.x
    along = (weighted * d).sum(axis=probe.reduced, keepdims=True)
    return probe.with_weighted(
        weighted - d * along / (d * d).sum(axis=probe.reduced, keepdims=True)
    )


# Where a wrong formula may be right, with what it then depends on.
SPECIAL: Mapping[str, tuple[str, Callable[[Probe], Probe]]] = {
    "gamma = 1": ("gamma is not 1", lambda p: replace(p, gamma=np.ones_like(p.gamma))),
    "beta = 0": ("beta is not 0", lambda p: replace(p, beta=np.zeros_like(p.beta))),
    "sum dy = 0": ("the sum of dy is not 0", lambda p: p.with_weighted(p.centred(p.weighted))),
    "sum dy x_hat = 0": ("the sum of dy x_hat is not 0", _no_product),
    "mean 0": ("the mean of x is not 0", lambda p: replace(p, x=p.centred(p.x))),
    "var >> eps": ("eps is not small beside the variance", lambda p: replace(p, x=p.x * 1e7)),
    "var << eps": ("the variance is not small beside eps", lambda p: replace(p, x=p.x * 1e-3)),
}


@cache
def probes(layer: str) -> tuple[Probe, ...]:
    """All probes of a layer, plain ones first."""
    return tuple(_probes(layer))


def _probes(layer: str) -> Iterator[Probe]:
    plain = _draw(layer, "plain", 7, 3)
    yield plain
    yield _draw(layer, "another draw", 5, 4, eps=0.11)
    for name, (says, change) in SPECIAL.items():
        yield replace(change(plain), name=name, says=says)
    for m in GROWING:
        yield _draw(layer, f"m = {m}", *((3, m) if layer in ROWS else (m, 3)))
    yield _draw(layer, "rank 3", 4, 3, 5)
    yield _draw(layer, "rank 4", 3, 2, 4, 5)


@cache
def off_definition(layer: str) -> tuple[Probe, tuple[Floats, Floats]]:
    """A batch with a mean and a variance that are not its own: where they are given, terms do not
    vanish that otherwise do, and show which of several equal formulas a kernel computes."""
    probe = _draw(layer, "other statistics", 6, 3)
    groups = 6 if layer in ROWS else 3
    rng = np.random.default_rng(groups)
    shape = (groups, 1) if layer in ROWS else (1, groups)
    return probe, (rng.normal(size=shape), rng.uniform(0.5, 2.0, shape))


@cache
def _unscaled(probe: Probe) -> Probe:
    return replace(probe, gamma=np.ones_like(probe.gamma))


def at_eps(probe: Probe, eps: float) -> Probe:
    """The same batch for a kernel that has an ε of its own."""
    return _at_eps(probe, eps)


@cache
def _at_eps(probe: Probe, eps: float) -> Probe:
    return probe if probe.eps == eps else replace(probe, eps=eps)


# --- What is right --------------------------------------------------------------------------------


@cache
def scales(probe: Probe) -> dict[str, float]:
    """The size of what is added up in each gradient: what an error is measured by, as the gradient
    itself may be 0."""
    centre = 0 * probe.x if probe.layer == "rms_norm" else probe.x - probe.centred(probe.x)
    d = probe.x - centre
    r = 1 / np.sqrt((d * d).mean(axis=probe.reduced, keepdims=True) + probe.eps)
    learnt = tuple(k for k, n in enumerate(probe.lined_up(probe.gamma).shape) if n == 1)
    sums = {"dgamma": abs(probe.dy * d * r), "dbeta": abs(probe.dy)}
    found = {name: float(terms.sum(axis=learnt).max()) for name, terms in sums.items()}
    return {"dx": float(abs(probe.weighted * r).max()), **found}


@cache
def truth(probe: Probe) -> dict[str, Floats]:
    """dx, dgamma and dbeta, from exact arithmetic, rounded once to float64."""
    if probe.layer in ROWS:
        return _of_rows(probe)
    x, dy = (np.moveaxis(a, 1, 0).reshape(a.shape[1], -1) for a in (probe.x, probe.dy))
    parameters = zip(probe.gamma, probe.beta, strict=True)
    channels = [Channel.of(x[c], g, b, probe.eps) for c, (g, b) in enumerate(parameters)]
    found = [channel.backward(dy[c]) for c, channel in enumerate(channels)]
    dx = np.stack([_floats(one) for one, _, _ in found])
    spread = [probe.x.shape[1], probe.x.shape[0], *probe.x.shape[2:]]
    return {
        "dx": np.moveaxis(dx.reshape(spread), 0, 1),
        "dgamma": np.array([float(one) for _, one, _ in found]),
        "dbeta": np.array([float(one) for _, _, one in found]),
    }


def _of_rows(probe: Probe) -> dict[str, Floats]:
    x, dy = (a.reshape(-1, a.shape[-1]) for a in (probe.x, probe.dy))
    centres = probe.layer == "layer_norm"
    gamma, beta = Row.of(probe.gamma), Row.of(probe.beta)
    rows = [Normalised.of(row, gamma, beta, probe.eps, centres=centres) for row in x]
    dx = np.stack([_floats(row.dx(v)) for row, v in zip(rows, dy, strict=True)])
    found = {"dx": dx.reshape(probe.x.shape)}
    parameters = parameter_gradients(rows, dy)
    found |= {name: _floats(v) for name, v in zip(("dgamma", "dbeta"), parameters, strict=True)}
    if not centres:
        del found["dbeta"]
    return found


def _floats(vector: Affine) -> Floats:
    count = vector.terms[0][1].values.size
    numbers, denominator = vector.exact(np.arange(count))
    return np.array([int(number) / denominator for number in numbers])
