"""What one writes first: whole arrays in the dtype of the data, the chain rule step by step.

The baseline of the benchmarks.  Its formulas are typed here, after Ioffe & Szegedy (2015), and
owe nothing to the derivation.
"""

from __future__ import annotations

from typing import Any

from verify.speed.problem import BATCH, EPS, Array, Problem


class Textbook:
    """Forward by the definitions, backward by the staged adjoints."""

    def __init__(self, problem: Problem) -> None:
        x, batch = problem.x, problem.layer == BATCH
        self.problem = problem
        self.reduced = tuple(k for k in range(x.ndim) if k != 1) if batch else (-1,)
        self.learnt = self.reduced if batch else tuple(range(x.ndim - 1))
        self.shape = [1] * x.ndim
        self.shape[1 if batch else -1] = problem.channels
        self.m = x.size // problem.channels if batch else x.shape[-1]
        self.centred = problem.layer != "rms_norm"
        self.saved: tuple[Array, ...] = ()

    def forward(self) -> Array:
        p = self.problem
        x, gamma = p.x, p.gamma.reshape(self.shape)
        x_mu = x - x.mean(axis=self.reduced, keepdims=True) if self.centred else x
        var = (x_mu**2).mean(axis=self.reduced, keepdims=True)
        inv_std = 1 / (var + x.dtype.type(EPS)) ** 0.5
        x_hat = x_mu * inv_std
        self.saved = x_mu, inv_std, x_hat
        y: Array = gamma * x_hat
        return y + p.beta.reshape(self.shape) if self.centred else y

    def backward(self) -> tuple[Array, ...]:
        dy, gamma = self.problem.dy, self.problem.gamma.reshape(self.shape)
        x_mu, inv_std, x_hat = self.saved

        def total(values: Any) -> Any:
            return values.sum(axis=self.reduced, keepdims=True)

        dx_hat = dy * gamma
        dvar = total(dx_hat * x_mu * -(inv_std**3) / 2)
        dx = dx_hat * inv_std + 2 * dvar * x_mu / self.m
        dgamma = (dy * x_hat).sum(axis=self.learnt)
        if not self.centred:
            return dx, dgamma
        return dx + total(-dx_hat * inv_std) / self.m, dgamma, dy.sum(axis=self.learnt)
