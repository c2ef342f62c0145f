"""What one writes first: whole arrays in the dtype of the data, the chain rule step by step.

The baseline of the benchmarks.  Its formulas are typed here, after Ioffe & Szegedy (2015), those of
softmax after Bridle (1990), and owe nothing to the derivation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verify.speed.problem import EPS, RMS, Array, Problem


class Textbook:
    """Forward by the definitions, backward by the staged adjoints."""

    def __init__(self, problem: Problem) -> None:
        self.problem, axes = problem, problem.axes
        self.seen, self.reduced, _ = axes
        self.others = tuple(k for k in range(len(self.seen)) if k not in axes.learnt)
        self.shape = [1 if k in self.others else size for k, size in enumerate(self.seen)]
        self.m = axes.m
        self.centred = problem.layer != RMS
        self.saved: tuple[Array, ...] = ()

    def forward(self) -> Array:
        p = self.problem
        x, gamma = p.x.reshape(self.seen), p.gamma.reshape(self.shape)
        x_mu = x - x.mean(axis=self.reduced, keepdims=True) if self.centred else x
        var = (x_mu**2).mean(axis=self.reduced, keepdims=True)
        inv_std = 1 / (var + x.dtype.type(EPS)) ** 0.5
        x_hat = x_mu * inv_std
        self.saved = x_mu, inv_std, x_hat
        y: Array = gamma * x_hat
        if self.centred:
            y = y + p.beta.reshape(self.shape)
        return y.reshape(p.x.shape)

    def backward(self) -> tuple[Array, ...]:
        p = self.problem
        dy, gamma = p.dy.reshape(self.seen), p.gamma.reshape(self.shape)
        x_mu, inv_std, x_hat = self.saved

        def total(values: Any) -> Any:
            return values.sum(axis=self.reduced, keepdims=True)

        dx_hat = dy * gamma
        dvar = total(dx_hat * x_mu * -(inv_std**3) / 2)
        dx = dx_hat * inv_std + 2 * dvar * x_mu / self.m
        dgamma = (dy * x_hat).sum(axis=self.others).reshape(p.gamma.shape)
        if not self.centred:
            return dx.reshape(p.x.shape), dgamma
        dx = dx + total(-dx_hat * inv_std) / self.m
        dbeta = dy.sum(axis=self.others).reshape(p.beta.shape)
        return dx.reshape(p.x.shape), dgamma, dbeta


class TextbookSoftmax:
    """Forward by the definition, of x less its largest; backward by the adjoints of Z, e and x."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.saved: tuple[Array, ...] = ()

    def forward(self) -> Array:
        x = self.problem.x
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        total = e.sum(axis=-1, keepdims=True)
        self.saved = e, total
        y: Array = e / total
        return y

    def backward(self) -> tuple[Array, ...]:
        dy, (e, total) = self.problem.dy, self.saved
        dtotal = (-dy * e / total**2).sum(axis=-1, keepdims=True)
        de = dy / total + dtotal
        return (de * e,)
