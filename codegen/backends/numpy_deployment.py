"""Test mode, its statistics and folding: the part of a Batch Norm module beside training.

As in :mod:`codegen.backends.numpy_text`, the functions that validate are fixed text, and the cores
that compute are printed from proved programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sympy import Expr

from codegen.backends.numpy_calls import core_call
from codegen.backends.numpy_cores import Core, assignments, name_of, sizes
from codegen.backends.python_code import code
from codegen.backends.python_lines import call, signature, tuple_of
from codegen.deployment import Deployment
from codegen.names import code_name
from codegen.pipeline import Kernel
from derive.expr import Definition, SumOver, adjoint


class Formulas(Protocol):
    """Lines of a docstring; ``shown`` are the axes whose indices are printed."""

    def __call__(self, definitions: Iterable[Definition], shown: Sequence[str] = ...) -> str: ...


def deployment_text(deployment: Deployment, formulas: Formulas, core: Core) -> list[str]:
    """The functions and their cores, in the order of the module."""
    inference = deployment.inference
    layer, x = inference.layer, inference.layer.data
    wanted = [adjoint(var) for var in layer.inputs]
    closed = [result.definition for result in inference.adjoints if result.var in wanted]
    return [
        INFER.format(
            formulas=formulas(layer.definitions),
            call=core_call("_infer", _given(deployment.infer), ("y",)),
        ),
        core(deployment.infer, x, ("y",), "Test mode"),
        INFER_BACKWARD.format(
            formulas=formulas(closed),
            call=core_call(
                "_infer_backward", _given(deployment.infer_backward), ("dx",), ("dgamma", "dbeta")
            ),
        ),
        core(deployment.infer_backward, x, ("dx",), "The closed forms of test mode"),
        RUNNING.format(
            formulas=formulas(deployment.running_biased.concludes),
            corrected=formulas(deployment.running_unbiased.concludes[-1:]),
            biased=_call(deployment.running_biased, "new = ", (), 12),
            unbiased=_call(deployment.running_unbiased, "new = ", ("m",), 12),
        ),
        _formula_core(deployment.running_biased, "Averages of the statistics as they are."),
        _formula_core(deployment.running_unbiased, "The same with the variance corrected."),
        POPULATION.format(formulas=formulas(deployment.population.concludes, ("b",))),
        _formula_core(deployment.population, "Means over mini-batches, the variance corrected."),
        FOLD.format(
            formulas=formulas(deployment.fold.concludes),
            call=_call(deployment.fold, "scale, shift = ", (), 8),
        ),
        _formula_core(deployment.fold, "What test mode does to x, as one factor and one term."),
        FOLD_LINEAR.format(
            formulas=formulas(deployment.fold_linear.concludes),
            call=call(
                "new_weight[own][block], wide_bias = _fold_linear",
                [
                    f"_wide({name}[own][block])" if name == "weight" else f"layout.of({name}, own)"
                    for name in _given(deployment.fold_linear)
                ],
                16,
            ),
        ),
        _formula_core(deployment.fold_linear, "The same, multiplied into a linear layer."),
    ]


def _call(kernel: Kernel, targets: str, more: tuple[str, ...], by: int) -> str:
    return call(f"{targets}_{kernel.name}", [*_given(kernel), *more], by)


def _given(kernel: Kernel) -> list[str]:
    return [code_name(var) for var in kernel.program.given]


def _formula_core(kernel: Kernel, about: str) -> str:
    """A kernel that reads no data: one line for each quantity."""
    given = [code_name(var) for var in kernel.program.given]

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            return f"np.add.reduce({code(node.body, name)}, axis=0, dtype=_WIDE)"
        return name_of(node)

    parameters = [
        *(f"{label}: Any" for label in given),
        *(f"{size}: int" for size in sizes(kernel.program.assigns)),
    ]
    results = [code_name(var) for var in kernel.program.results]
    return "\n".join(
        [
            signature(f"_{kernel.name}", parameters, "tuple[Array, ...]"),
            f'    """{about}"""',
            *assignments(kernel.program.assigns, name),
            f"    return {tuple_of(results)}",
        ]
    )


INFER = '''
def infer(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    mean: npt.ArrayLike,
    var: npt.ArrayLike,
    *,
    eps: float = 1e-5,
    axis: int = 1,
    out: Array | tuple[Array] | None = None,
) -> Array:
    """y in test mode, where the statistics are given and constant.

{formulas}

    mean is E[x], var is Var[x]: (C,), of any float dtype, such as running_update keeps them.  The
    other arguments and the errors are those of forward, but no cache is returned.
    """
    x = _array("x", x)
    layout = _layout(x, axis)
    eps = _real("eps", eps)
    inputs = [a for a in (gamma, beta, mean, var) if isinstance(a, np.ndarray)]
    gamma, beta = _per_channel("gamma", gamma, layout, 1), _per_channel("beta", beta, layout, 0)
    mean, variance = _per_channel("mean", mean, layout), _per_channel("var", var, layout)
    (y,) = _results(out, {{"y": x.shape}}, x.dtype, replaces=x, apart=inputs)
    with np.errstate(all="ignore"):
{call}
    return y
'''

INFER_BACKWARD = '''
def infer_backward(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    mean: npt.ArrayLike,
    var: npt.ArrayLike,
    *,
    eps: float = 1e-5,
    axis: int = 1,
) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta of infer: no gradient flows through constant statistics.

{formulas}

    The arguments are those of infer, and dy with the shape of x; the results are those of backward.
    """
    x = _array("x", x)
    layout = _layout(x, axis)
    dy = _like("dy", dy, x)
    eps = _real("eps", eps)
    gamma = _per_channel("gamma", gamma, layout, 1)
    mean, variance = _per_channel("mean", mean, layout), _per_channel("var", var, layout)
    one, dtype = (layout.channels,), x.dtype
    dx, dgamma, dbeta = np.empty(layout.shape, dtype), np.empty(one, dtype), np.empty(one, dtype)
    with np.errstate(all="ignore"):
{call}
    return dx, dgamma, dbeta
'''

RUNNING = '''
def running_update(
    mean: npt.ArrayLike,
    var: npt.ArrayLike,
    cache: Cache,
    *,
    momentum: float = 0.1,
    unbiased: bool = True,
) -> tuple[Array, Array]:
    """Running averages of the statistics for infer, one mini-batch further.

{formulas}

    or, with unbiased=True, so that Var[x] is right on average,

{corrected}

    mean, var: (C,), the averages so far (E[x] and Var[x] above); new arrays of their dtypes are
    returned.  momentum weighs the NEW value, as in PyTorch, which keeps the unbiased variance too.
    CS231n, Caffe and ONNX weigh the OLD value (their 0.9 is 0.1 here) and most keep the variance of
    the batch as it is: unbiased=False.

    Raises ValueError for a wrong shape, for a batch without elements, and for one element a channel
    if unbiased: m/(m - 1) is undefined there.
    """
    layout = _checked(cache)
    averages = _array("mean", mean), _array("var", var)
    momentum = _real("momentum", momentum)
    mean, variance = _per_channel("mean", mean, layout), _per_channel("var", var, layout)
    m = layout.m
    if m < 1 + bool(unbiased):
        raise ValueError(f"a channel has m = {{m}} elements; {{1 + bool(unbiased)}} are needed")
    if layout.many:
        kept = np.empty_like(averages[0]), np.empty_like(averages[1])
        for own, _ in layout.some(layout.MOST):
            part = Cache(*(layout.of(value, own) for value in cache))
            old = [average[own[-1]] for average in averages]
            kept[0][own[-1]], kept[1][own[-1]] = running_update(
                old[0], old[1], part, momentum=momentum, unbiased=unbiased
            )
        return kept
    with np.errstate(all="ignore"):
        mu, var = cache.mean + cache.mean_rest, cache.var
        if unbiased:
{unbiased}
        else:
{biased}
        new_mean, new_var = (
            wide.reshape(-1).astype(old.dtype) for wide, old in zip(new, averages, strict=True)
        )
    return new_mean, new_var
'''

POPULATION = '''
def population_statistics(
    means: npt.ArrayLike | Sequence[npt.ArrayLike],
    variances: npt.ArrayLike | Sequence[npt.ArrayLike],
    m: int,
) -> tuple[Array, Array]:
    """E[x] and Var[x] from the statistics of many mini-batches of m elements a channel each.

{formulas}

    means, variances: (batches, C), or a sequence of arrays (C,); the mu_B and sigma^2_B of each
    (Ioffe & Szegedy 2015, Algorithm 2, line 10).  Returns two arrays (C,) of their dtypes.

    Raises TypeError for what is not an array of floats or an integer, ValueError for shapes that do
    not fit, for no mini-batch at all, and for m < 2: m/(m - 1) is undefined there.
    """
    mu = _array("means", np.asarray(means))
    var = _array("variances", np.asarray(variances))
    if mu.ndim != 2 or not len(mu):
        raise ValueError(f"means has shape {{mu.shape}}; (batches, C) is needed, and not 0 batches")
    if var.shape != mu.shape:
        raise ValueError(f"variances has shape {{var.shape}}; {{mu.shape}} is needed, as means has")
    try:
        m = operator.index(m)
    except TypeError:
        raise TypeError(f"m is {{m!r}}; an integer is needed") from None
    if m < 2:
        raise ValueError(f"m is {{m}}; 2 or more elements a channel are needed")
    layout = _known_layout(mu.shape, 1)
    mean, variance = (np.empty(layout.channels, every.dtype) for every in (mu, var))
    with np.errstate(all="ignore"):
        for own, _ in layout.some(layout.MOST):
            mean[own[1]], variance[own[1]] = _population(mu[own], var[own], len(mu), m)
    return mean, variance
'''

FOLD = '''
def fold(
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    mean: npt.ArrayLike,
    var: npt.ArrayLike,
    *,
    eps: float = 1e-5,
) -> tuple[Array, Array]:
    """scale and shift, for which infer is y = scale*x + shift.

{formulas}

    gamma, beta, mean, var: (C,), as for infer.  Returns two arrays (C,) in the dtype of mean.

    Where |E[x]| is large beside sqrt(Var[x] + eps), scale*x and shift cancel, and y loses digits
    that infer keeps: as many as that quotient has.

    Raises TypeError and ValueError like infer.
    """
    narrow = _array("mean", mean)
    layout = _columns(narrow, "mean")
    eps = _real("eps", eps)
    gamma, beta = _per_channel("gamma", gamma, layout, 1), _per_channel("beta", beta, layout, 0)
    mean, variance = _per_channel("mean", mean, layout), _per_channel("var", var, layout)
    if layout.many:
        scale, shift = (np.empty(narrow.shape, narrow.dtype) for _ in range(2))
        for own, _ in layout.some(layout.MOST):
            scale[own], shift[own] = fold(
                gamma[own], beta[own], narrow[own], variance[own], eps=eps
            )
        return scale, shift
    with np.errstate(all="ignore"):
{call}
        return scale.reshape(-1).astype(narrow.dtype), shift.reshape(-1).astype(narrow.dtype)
'''

FOLD_LINEAR = '''
def fold_linear(
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    mean: npt.ArrayLike,
    var: npt.ArrayLike,
    *,
    eps: float = 1e-5,
) -> tuple[Array, Array]:
    """Weight and bias of a linear layer that does what it and infer after it do.

{formulas}

    weight: (C, K), or (C, K, *kernel) of a convolution: output channels first.  bias: (C,), None
    means 0.  The others as for fold.  Returns arrays shaped like weight and (C,), in the dtype of
    weight.  The price is that of fold.

    Raises TypeError and ValueError like fold.
    """
    weight = _array("weight", weight)
    shape = weight.shape
    weight = weight.reshape((*shape, 1)) if len(shape) == 1 else weight
    layout = _columns(weight, "weight")
    eps = _real("eps", eps)
    bias, gamma = _per_channel("bias", bias, layout, 0), _per_channel("gamma", gamma, layout, 1)
    beta = _per_channel("beta", beta, layout, 0)
    mean, variance = _per_channel("mean", mean, layout), _per_channel("var", var, layout)
    dtype = weight.dtype
    new_weight, new_bias = np.empty(weight.shape, dtype), np.empty(layout.channels, dtype)
    with np.errstate(all="ignore"):
        for own, some in layout.some(max(1, _BLOCK // max(layout.m, 1))):
            for block in list(some.blocks()) or [()]:
{call}
            new_bias[own] = wide_bias.reshape(-1)
    return new_weight.reshape(shape), new_bias


def _columns(array: Array, name: str) -> _Layout:
    """A layout with the channels along the first axis."""
    if array.ndim == 0:
        raise ValueError(f"{{name}} has shape (); (C,) or more axes are needed")
    return _known_layout(array.shape, 0)
'''
