"""What a NumPy module cannot say is refused before it is printed, in one line."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sympy import sqrt

from codegen.backends import BACKENDS
from codegen.backends.numpy_layouts import BATCH
from codegen.backends.numpy_limits import refuse, taken
from codegen.emit import render
from codegen.pipeline import Kernels, build
from derive.derivation import derive
from derive.errors import InputError
from derive.expr import Definition, Var, mean
from derive.grammar import parse_layer
from derive.layer import Layer, LayerError
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, mu, n, var, x, y
from tests.derive.statements import derivation_of
from verify.definition import reference_of
from verify.exact import confirmed
from verify.kernel_exact import check
from verify.loading import load


@cache
def kernels() -> Kernels:
    return build(derivation_of("batch_norm"))


def renamed(learnt: str = "gamma", hat: str = "x_hat", shift: str = "eps") -> Layer:
    """Batch Norm with a learnt quantity, an intermediate or a parameter of another name."""
    g, h, e = Var(learnt, c), Var(hat, n, c), Var(shift, positive=True)
    return replace(
        BATCH_NORM,
        learnt=(g, beta),
        parameters=(e,),
        definitions=(
            Definition(mu, mean(x, n)),
            Definition(var, mean((x - mu) ** 2, n)),
            Definition(h, (x - mu) / sqrt(var + e)),
            Definition(y, g * h + beta),
        ),
    )


def refused(layer: Layer) -> str:
    """The message; made quick by Batch Norm's programs, which are the same but for one name."""
    ours = replace(kernels(), derivation=replace(kernels().derivation, layer=layer))
    with pytest.raises(InputError) as raised:
        refuse(ours, BATCH)
    assert "\n" not in str(raised.value)
    return str(raised.value)


CLASHES = (
    *("axis", "out", "layout", "np", "npt", "block", "cache", "channel", "mean", "mean_rest"),
    *("inv_std", "x_centred", "x_shifted", "x_block", "m", "forward", "backward"),
    *("backward_staged", "jvp", "jacobian", "Cache", "Array", "isinstance", "float", "wide_beta"),
    *("dy_block", "operator", "inputs", "shapes"),
)


@pytest.mark.parametrize("name", CLASHES)
@pytest.mark.parametrize("what", ["learnt", "hat", "shift"])
def test_a_name_that_means_something_else_in_the_module(name: str, what: str) -> None:
    try:
        layer = renamed(**{what: name})
    except LayerError:  # the derivation has a use for it already
        return
    said = refused(layer)
    assert f"{name} cannot be called {name} in a generated module" in said


@pytest.mark.parametrize("name", ["class", "lambda", "None", "2x", "x hat", "x-y", "", "_x", "ĝ.h"])
def test_what_is_no_name(name: str) -> None:
    assert "is no name in Python; begin with a letter" in refused(renamed(hat=name))


def test_two_quantities_of_one_name_in_code() -> None:
    assert refused(renamed(learnt="b", hat="bias")).endswith("called bias in the module, as is b")


def test_one_name_for_two_parameters() -> None:
    with pytest.raises(LayerError, match="the name eps is used twice"):
        replace(BATCH_NORM, parameters=(eps, eps))


def test_names_that_mean_nothing_else_are_taken() -> None:
    for name in ("a", "scale", "gain", "length", "rows", "weight", "energy", "z"):
        layer = renamed(learnt=name)
        refuse(replace(kernels(), derivation=replace(kernels().derivation, layer=layer)), BATCH)
    refuse(kernels(), BATCH)


def test_the_taken_names_are_those_of_the_module() -> None:
    """Every global of a generated module but the layer's own names."""
    tree = ast.parse(BACKENDS["numpy"].render(kernels()))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {name for name in found if not name.startswith("_")} - taken(BATCH) <= {
        *("infer", "infer_backward", "running_update", "population_statistics"),
        *("fold", "fold_linear", "double_backward"),
    }
    assert {"_WIDE", "_BLOCK", "_layout", "_Layout", "np", "axis", "self"} - taken(BATCH) == {
        "self"
    }


@pytest.mark.parametrize("name", ["x_centred", "centre"])
def test_names_that_passes_make_are_refused_before_they_mix(name: str) -> None:
    with pytest.raises(InputError, match=f"kernels have a {name} of their own"):
        build(derive(renamed(hat=name)))


# --- Operations -----------------------------------------------------------------------------------

FILE = """\
axes: n, c
x[n, c]; gamma[c]; eps > 0
mu[c]  = mean[n](x)
y[n,c] = {}
"""

OPERATIONS = [
    ("erf(x - mu) + gamma * eps", "y has erf, which NumPy has not; it has abs, exp, log, max, "),
    ("gauss(x - mu) + gamma * eps", "y has gauss, which NumPy has not"),
    ("g(x - mu) + gamma * eps", "y has any function g; a kernel needs one by name"),
    ("gamma * max(x - mu, 1/2) * eps", "y has a function of a fraction"),
    ("(x - mu) * gamma / C + eps", "y has the size C; a kernel knows N only, that of n"),
    ("(x - mu) * gamma * eps^(1/3)", "y has the power 1/3; a kernel takes whole powers"),
]


@pytest.mark.parametrize(("formula", "said"), OPERATIONS)
def test_operations_that_numpy_lacks(formula: str, said: str) -> None:
    layer = parse_layer(FILE.format(formula), "own")
    ours = replace(kernels(), derivation=replace(kernels().derivation, layer=layer))
    with pytest.raises(InputError) as raised:
        refuse(ours, BATCH)
    assert str(raised.value).startswith(f"own: {said}")


WORKING = [
    "gamma * abs(x - mu) + eps",
    "gamma * relu(x - mu) + eps",
    "gamma * max(x - mu, eps)",
    "max(x - mu, gamma * (x - mu)) * eps",
    "gamma * sign(x - mu) * (x - mu) * eps",
    "gamma * sigmoid(x - mu) + tanh(x) * eps",
    "gamma * (x - mu) + log(eps) * step(x)",
    "gamma * (x - mu) * eps + 1/3 - 2/N",
    "gamma * (x - mu) * (eps + 1/2) + x * (1/2 - 1/N)",
]


@pytest.mark.parametrize("formula", WORKING)
def test_kernels_of_elementwise_functions(formula: str) -> None:
    """Exact, and in float64 by the definition, with a size that is not called m."""
    layer = parse_layer(FILE.format(formula), "own")
    text = BACKENDS["numpy"].render(build(derive(layer)))
    outcomes = check(text, layer, reference_of(layer), sizes=(2, 3))
    assert not any(outcome.failures for outcome in outcomes)
    assert confirmed(outcomes)
    rng = np.random.default_rng(0)
    data, scale = rng.normal(size=(5, 3)), rng.normal(size=3)
    result, _ = load(text, "own").forward(data, scale, eps=0.25)
    assert np.isfinite(result).all()
    assert result.std() > 0


def test_a_statistic_that_proofs_cannot_solve_for() -> None:
    layer = parse_layer(
        "axes: n, c\nx[n,c]; t[c]\nv[c] = mean[n](max(x, t))\ny[n,c] = x - v", "own"
    )
    with pytest.raises(InputError, match="own: a kernel cannot be proved, as the definition of v"):
        build(derive(layer))


def test_the_exact_comparison_sees_a_wrong_sign() -> None:
    layer = parse_layer(FILE.format("gamma * abs(x - mu) + eps"), "own")
    text = BACKENDS["numpy"].render(build(derive(layer)))
    damaged = text.replace("np.sign(", "np.abs(")
    assert damaged != text
    wrong = {o.claim for o in check(damaged, layer, reference_of(layer), sizes=(3,)) if o.failures}
    assert "backward: dx" in wrong


def test_a_constant_for_each_channel() -> None:
    """A parameter over the channels is an argument like gamma, without a gradient."""
    said = FILE.replace("eps > 0", "eps > 0; constant r[c]")
    layer = parse_layer(said.format("gamma * r * (x - mu) + eps"), "own")
    text = BACKENDS["numpy"].render(build(derive(layer)))
    assert confirmed(check(text, layer, reference_of(layer), sizes=(2, 3)))
    module = load(text, "own")
    data = np.array([[1.0, 2.0], [3.0, 8.0]])
    result, cache = module.forward(data, r=np.array([1.0, 10.0]), eps=0.5)
    assert result.tolist() == [[-0.5, -29.5], [1.5, 30.5]]
    assert len(module.backward(data, cache)) == 2
    with pytest.raises(ValueError, match=r"r has shape \(3,\); \(2,\) is needed"):
        module.forward(data, r=np.ones(3))
    with pytest.raises(TypeError, match="'r'"):
        module.forward(data)


def toy(name: str, *, by_rows: bool) -> Layer:
    """A layer with one statistic, of the name."""
    sizes, reduced, kept = ("n (N), q (m)", "q", "n") if by_rows else ("n (m), q (C)", "n", "q")
    return parse_layer(
        f"layer toy: Toy\naxes: {sizes}\nx[n, q]; gamma[q]; eps > 0\n"
        f"mu[{kept}] = mean[{reduced}](x)\n{name}[{kept}] = sum[{reduced}]((x - mu)^2)\n"
        f"y[n, q] = gamma * (x - mu) / sqrt({name} + eps)\n"
    )


@pytest.mark.parametrize(
    ("backend", "by_rows", "name"),
    [
        *(("numpy", False, "part"), ("numpy", True, "block"), ("numba", False, "work")),
        *(("numba", True, "i"), ("numba", True, "g"), ("numba", True, "s")),
    ],
)
def test_a_name_that_a_core_has_for_something_else(backend: str, by_rows: bool, name: str) -> None:
    assert "energy" in render(toy("energy", by_rows=by_rows), BACKENDS[backend])
    with pytest.raises(InputError, match=f"^toy: {name} cannot be called {name} in a generated"):
        render(toy(name, by_rows=by_rows), BACKENDS[backend])
