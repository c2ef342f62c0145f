"""Identifiers of generated code: the one place where a quantity's name in code is decided."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain, count

from sympy import Expr, Integer, Mul, Pow

from derive.expr import SumOver, Var

CENTRE, REST = "centre", "centre_rest"
CENTRED, SHIFTED = "x_centred", "x_shifted"
PASS_LABELS = (CENTRE, REST, CENTRED, SHIFTED)  # of what passes make; no layer may use them

# Names that engineers use where the definition's own name is a mathematician's.
CODE_NAMES = {
    CENTRE: "mean",
    REST: "mean_rest",
    "inv_root_var": "inv_std",
    "inv_root_variance": "inv_std",
    "inv_root_mean_square": "inv_rms",
    "W": "weight",
    "b": "bias",
}


def code_name(var: Var) -> str:
    """The identifier of a quantity: ``inv_std``, ``x_hat``, ``dgamma``."""
    return CODE_NAMES.get(var.label, var.label)


def sum_label(total: SumOver) -> str:
    """``sum_dy_xhat`` for Σ dy·x̂, ``sum_xshifted2`` for Σ d²; ``expr`` for what has no name."""
    return "sum_" + product_label(total.body)


def product_label(product: Expr) -> str:
    """``dy_xhat`` for dy·x̂, ``xshifted2`` for d²; ``expr`` for what has no name."""
    every = [_factor_label(factor) for factor in Mul.make_args(product)]
    parts = [part for k, part in enumerate(every) if part != "expr" or part not in every[:k]]
    return "_".join(sorted(parts, key=lambda part: (not part.startswith("d"), part)))


def _factor_label(factor: Expr) -> str:
    base, exponent = (factor.base, factor.exp) if isinstance(factor, Pow) else (factor, Integer(1))
    if not isinstance(base, Var) or not exponent.is_Integer or exponent < 1:
        return "expr"
    return base.label.replace("_", "") + (str(exponent) if exponent > 1 else "")


def unused(label: str, taken: Container[str]) -> str:
    """The label, or if something else has it, with the first number behind it that nothing has."""
    numbered = (f"{label}_{number}" for number in count(2))
    return next(name for name in chain([label], numbered) if name not in taken)
