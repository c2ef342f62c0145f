"""What the parameters of other people's kernels are called, and what is put in their places.

A *role* is what a parameter stands for, such as the cotangent ``dy`` or the saved ``inv_std``.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.errors import InputError
from verify.audit.probes import Floats, Probe

NAMES: Mapping[str, str] = {
    "dy": "dy dout d_out dl_dy dldy dldout g gy grad grad_y grad_out grad_output grad_outputs dz "
    "delta out_grad y_grad top_diff upstream doutput output_grad gradient error",
    "x": "x x_in inp input inputs data bottom_data input_data batch z",
    "gamma": "gamma weight weights scale scales g_amma w gain",
    "beta": "beta bias biases shift b",
    "mean": "mean mu sample_mean batch_mean save_mean saved_mean mu_b mean_x x_mean",
    "var": "var variance sigma2 sigma_2 sample_var batch_var save_var saved_var var_x x_var "
    "saved_variance mean_square",
    "std": "std sigma stddev sqrtvar sample_std batch_std rms",
    "inv_std": "inv_std invstd istd ivar inv_var invvar rstd rsqrt save_invstd saved_invstd "
    "save_inv_std save_inv_var saved_inv_var save_ivar rrms inv_rms",
    "x_hat": "x_hat xhat x_norm xnorm normalized normalised x_normalized x_normalised xn x_bar",
    "x_centred": "xmu x_mu xc x_c x_centered x_centred centered centred xm",
    "y": "y output",
    "eps": "eps epsilon",
    "m": "m n batch_size num_samples",
    "training": "training train is_training is_train train_flg train_flag",
    "param": "bn_param ln_param param params bn_params config",
    "running_mean": "running_mean moving_mean",
    "running_var": "running_var running_variance moving_var moving_variance",
    "momentum": "momentum decay",
    "features": "num_features channels features c d dim size input_dim normalized_shape n_features "
    "num_channels hidden_size",
    "cache": "cache ctx saved memory",
}
ROLES: Mapping[str, str] = {name: role for role, names in NAMES.items() for name in names.split()}
GRADIENTS = ("dx", "dgamma", "dbeta")
MOMENTUM = 0.9
SETTLES_EPS = frozenset({"eps", "param", "inv_std", "std"})


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function; ``role`` is empty where its name says nothing."""

    name: str
    role: str
    required: bool
    positional: bool


def parameters(function: Callable[..., Any], roles: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """The parameters of a function, with ``roles`` for the first ones in place of their names'."""
    try:
        found = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        if not roles:
            raise InputError(
                f"{_called(function)} shows no signature; say with --args what it takes"
            ) from None
        return tuple(Parameter(role, role, True, True) for role in roles)
    named = [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(roles) > len(named) and len(named) == len(found):
        raise InputError(
            f"--args names {len(roles)} arguments, but {_called(function)} takes {len(named)}"
        )
    given = [*roles, *[None] * (len(named) - len(roles))]
    known = [
        Parameter(
            p.name,
            ROLES.get(p.name.lower().strip("_"), "") if role is None else role,
            p.default is p.empty,
            p.kind is not p.KEYWORD_ONLY,
        )
        for p, role in zip(named, given, strict=False)
    ]
    extra = [Parameter(role, role, True, True) for role in roles[len(named) :]]
    return (*known, *extra)


def _called(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def call(
    function: Callable[..., Any], takes: Sequence[Parameter], values: Mapping[str, Any]
) -> Any:
    """The function at the values of its parameters' roles.

    Raises InputError for a parameter that is needed and has no value.
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for parameter in takes:
        if parameter.role in values:
            if parameter.positional and not keywords:
                positional.append(values[parameter.role])
            else:
                keywords[parameter.name] = values[parameter.role]
        elif parameter.required:
            raise InputError(
                f"{_called(function)} takes {parameter.name}, which is not recognised: say with "
                f"--args what its arguments are, of {', '.join(NAMES)}"
            )
        elif parameter.positional:
            keywords.setdefault(parameter.name, _default(function, parameter.name))
    return function(*positional, **keywords)


def _default(function: Callable[..., Any], name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def statistics(probe: Probe) -> tuple[Floats, Floats]:
    """The mean and the variance (for RMS Norm the mean square) of a probe, in float64."""
    wide = probe.wide
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty batch
        d = wide.x if probe.layer == "rms_norm" else wide.centred(wide.x)
        mean = wide.x.mean(axis=wide.reduced, keepdims=True)
        return mean, (d * d).mean(axis=wide.reduced, keepdims=True)


def values_of(probe: Probe, mean: Floats, var: Floats, *, kept: bool) -> dict[str, Any]:
    """What each role stands for, at a mean and a variance that need not be those of x; these with
    the axes of length 1, or flat.  All in x's dtype, rounded once."""
    wide, dtype = probe.wide, probe.x.dtype
    with np.errstate(all="ignore"):
        std = np.sqrt(var + probe.eps)
        centred = wide.x - (0 * mean if probe.layer == "rms_norm" else mean)
        x_hat = centred / std
        y = x_hat * wide.lined_up(wide.gamma) + wide.lined_up(wide.beta)
        saved = {"mean": mean, "var": var, "std": std, "inv_std": 1 / std}
        if not kept:
            saved = {name: value.reshape(-1) for name, value in saved.items()}
        whole = {"x_hat": x_hat, "x_centred": centred, "y": y}
        rounded = {name: value.astype(dtype) for name, value in {**saved, **whole}.items()}
    return {
        "dy": probe.dy,
        "x": probe.x,
        "gamma": probe.gamma,
        "beta": probe.beta,
        **rounded,
        "eps": probe.eps,
        "m": probe.m,
        "training": True,
        "running_mean": np.zeros_like(probe.gamma),
        "running_var": np.ones_like(probe.gamma),
        "momentum": MOMENTUM,
        "param": {"mode": "train", "eps": probe.eps, "momentum": MOMENTUM},
        "features": probe.gamma.size,
    }
