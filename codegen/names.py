"""Identifiers of generated code: the one place where a quantity's name in code is decided."""

from __future__ import annotations

from sympy import Mul

from derive.expr import SumOver, Var

CENTRE, REST = "centre", "centre_rest"
CENTRED, SHIFTED = "x_centred", "x_shifted"

# Names that engineers use where the definition's own name is a mathematician's.
CODE_NAMES = {
    CENTRE: "mean",
    REST: "mean_rest",
    "inv_root_var": "inv_std",
    "inv_root_mean_square": "inv_rms",
}


def code_name(var: Var) -> str:
    """The identifier of a quantity: ``inv_std``, ``x_hat``, ``dgamma``."""
    return CODE_NAMES.get(var.label, var.label)


def sum_label(total: SumOver) -> str:
    """``sum_dy_xhat`` for Σ dy·x̂, ``sum_xshifted2`` for Σ d²."""
    parts = []
    for factor in Mul.make_args(total.body):
        base, exponent = factor.as_base_exp()
        name = base.label.replace("_", "") if isinstance(base, Var) else "expr"
        parts.append(name if exponent == 1 else f"{name}{exponent}")
    return "sum_" + "_".join(sorted(parts, key=lambda part: (not part.startswith("d"), part)))
