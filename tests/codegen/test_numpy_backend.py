"""Generated NumPy modules say what their layer says, and contain nothing that they should not."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from sympy import sqrt

from codegen.backends import BACKENDS
from codegen.pipeline import Kernels, build
from derive.derivation import derive
from derive.errors import InputError
from derive.expr import Definition, Var
from derive.layers.batch_norm import BATCH_NORM, c, eps, gamma, mu, n, var, x
from tests.altered import BATCH_NORMS
from tests.derive.statements import derivation_of

ROOT = Path(__file__).parents[2]
NAMES = (
    "batch_norm",
    *(name for name, (layer, _) in BATCH_NORMS.items() if all(var.axes for var in layer.learnt)),
)
PARTS = ("_forward_part", "_statistics", "_in_float64", "_backward_part", "_jvp_part")
LOOPS = ("layout.blocks()", "_parts(layout)", "work.blocks()", "part.works(")
PUBLIC = ("forward", "backward", "backward_staged", "jvp", "jacobian")
BY_NAME = pytest.mark.parametrize("name", NAMES)


@cache
def kernels_of(name: str) -> Kernels:
    return build(derivation_of(name))


@cache
def source(name: str) -> str:
    return BACKENDS["numpy"].render(kernels_of(name))


def functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def cores(text: str) -> dict[str, ast.FunctionDef]:
    """The functions that compute."""
    found = functions(text)
    return {
        name: found[name] for name in (*(f"_{name}" for name in PUBLIC), *PARTS) if name in found
    }


def doc(name: str, function: str) -> str:
    """A docstring with its lines joined, so that no break matters."""
    node = functions(source(name))[function] if function else ast.parse(source(name))
    return " ".join((ast.get_docstring(node) or "").split())


def fields(name: str) -> list[str]:
    """The fields of the Cache."""
    (cls,) = (
        node
        for node in ast.parse(source(name)).body
        if isinstance(node, ast.ClassDef) and node.name == "Cache"
    )
    return [node.target.id for node in cls.body if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)]  # fmt: skip


def arguments(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args)]


# --- What every module has -----------------------------------------------------------------------


@BY_NAME
def test_the_functions_take_and_return_what_the_layer_learns(name: str) -> None:
    found, learnt = functions(source(name)), [v.label for v in derivation_of(name).layer.learnt]
    assert set(PUBLIC) <= set(found)
    assert arguments(found["forward"]) == ["x", *learnt]
    assert [a.arg for a in found["forward"].args.kwonlyargs] == ["eps", "axis", "out"]
    assert arguments(found["backward"]) == arguments(found["backward_staged"]) == ["dy", "cache"]
    assert arguments(found["jvp"]) == ["x_dot", *(f"{label}_dot" for label in learnt), "cache"]
    assert arguments(found["jacobian"]) == ["cache", "channel"]
    gradients = ", ".join(["dx", *(f"d{label}" for label in learnt)])
    for function in ("backward", "backward_staged"):
        assert doc(name, function).startswith(f"{gradients} ")
        returns = found[function].returns
        assert returns is not None
        assert ast.unparse(returns) == f"tuple[{', '.join(['Array'] * (1 + len(learnt)))}]"


@BY_NAME
def test_every_function_that_users_call_is_explained(name: str) -> None:
    for function, node in functions(source(name)).items():
        if not function.startswith("_"):
            text = ast.get_docstring(node)
            assert text, function
            assert text.splitlines()[0].endswith((".", ":")), function
            assert "{" not in text
    for function in PUBLIC[:4]:
        assert "Raises TypeError" in doc(name, function) or function == "backward_staged"
    assert functions(source(name))["_forward"].returns is not None


@BY_NAME
def test_the_cache_is_explained_field_by_field(name: str) -> None:
    start = source(name).index("class Cache")
    text = source(name)[start : source(name).index('"""', source(name).index('"""', start) + 3)]
    kept = [f for f in fields(name) if f not in ("x", "gamma", "beta", "eps", "axis", "mean_rest")]
    assert kept
    for field in kept:
        assert f"    {field} " in text
    assert fields(name)[0] == "x"
    assert fields(name)[-1] == "axis"


@BY_NAME
def test_only_blocks_are_looped_over_where_something_is_computed(name: str) -> None:
    assert element_loops(source(name)) == []


def element_loops(text: str) -> list[str]:
    found = []
    for core in cores(text).values():
        for node in ast.walk(core):
            if isinstance(node, ast.For) and ast.unparse(node.iter).startswith(LOOPS):
                continue
            if isinstance(node, ast.For | ast.While | ast.comprehension | ast.Lambda):
                found.append(f"{core.name}: {type(node).__name__}")
    return found


@BY_NAME
def test_cores_contain_no_float(name: str) -> None:
    assert floats(source(name)) == []


def floats(text: str) -> list[str]:
    constants = (node for core in cores(text).values() for node in ast.walk(core)
                 if isinstance(node, ast.Constant))  # fmt: skip
    return [str(node.value) for node in constants if isinstance(node.value, float | complex)]


@BY_NAME
def test_a_module_stands_alone(name: str) -> None:
    allowed = {*sys.stdlib_module_names, "numpy"}
    assert {module.partition(".")[0] for module in imports(source(name))} <= allowed


def imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@BY_NAME
def test_lines_end_at_100_columns_and_nothing_hangs_over(name: str) -> None:
    lines = source(name).splitlines()
    assert max(len(line) for line in lines) <= 100
    assert [line for line in lines if line != line.rstrip()] == []
    assert source(name).endswith("\n")
    assert source(name).isascii()


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@BY_NAME
def test_ruff_finds_nothing(name: str) -> None:
    assert ruff(source(name)) == ""
    if name == "batch_norm":
        assert "F401" in ruff(
            source(name).replace("import numbers", "import numbers\nimport cmath")
        )


def ruff(text: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", "--output-format=concise",
         "--stdin-filename", "generated/numpy_kernels/rendered.py", "-"],
        input=text, capture_output=True, cwd=ROOT, encoding="utf-8", check=False,
    )  # fmt: skip
    assert run.stderr == ""
    return run.stdout


def test_what_should_not_be_there_is_seen() -> None:
    text = source("batch_norm")
    loop = "    for k in range(3):\n        dx[k] = 0.5\n    return dgamma, dbeta"
    damaged = text.replace("    return dgamma, dbeta", loop, 1)
    assert element_loops(damaged) == ["_backward: For"]
    assert floats(damaged) == ["0.5"]
    assert "derive" in imports(text.replace("import numbers", "import derive", 1))


# --- What is in one layer's module and not in another's ------------------------------------------

SAYS = {
    "batch_norm": [
        ("", "mu_B = (1/m) sum_i x_i"),
        ("forward", "sigma^2_B = (1/m) sum_i (x_i - mu_B)^2"),
        ("forward", "x_hat_i = (x_i - mu_B)/sqrt(sigma^2_B + eps)"),
        ("forward", "y_i = gamma x_hat_i + beta"),
        ("forward", "None means gamma = 1, beta = 0"),
        ("backward", "gamma/(m sqrt(sigma^2_B + eps)) (m dl/dy_i - sum_j dl/dy_j - x_hat_i "
         "sum_j dl/dy_j x_hat_j)"),
        ("backward", "dl/dgamma = sum_i dl/dy_i x_hat_i"),
        ("backward", "dl/dbeta = sum_i dl/dy_i"),
        ("backward_staged", "dl/dx_hat_i = gamma dl/dy_i"),
        ("backward_staged", "dl/dmu_B = -sum_i (1/sqrt(sigma^2_B + eps)) dl/dx_hat_i"),
        ("jvp", "+ gamma_dot x_hat_i + beta_dot"),
        ("jacobian", "u = gamma/(m sqrt(sigma^2_B + eps))"),
        ("jacobian", "R_ij = m delta_ij - 1 - x_hat_i x_hat_j"),
    ],
    "eps outside": [("forward", "x_hat_i = (x_i - mu_B)/(sqrt(sigma^2_B) + eps)")],
    "unbiased": [
        ("forward", "sigma^2_B = 1/(m - 1) sum_i (x_i - mu_B)^2"),
        ("jacobian", "u = gamma/(sqrt(sigma^2_B + eps) (m^2 - m))"),
    ],
    "no mean": [
        ("forward", "sigma^2_B = (1/m) sum_i x_i^2"),
        ("jacobian", "R_ij = m delta_ij - x_hat_i x_hat_j"),
    ],
    "not centred": [("forward", "x_hat_i = x_i/sqrt(sigma^2_B + eps)")],
    "named std": [("forward", "std = sqrt(sigma^2_B + eps)"), ("backward_staged", "dl/dstd")],
    "no gamma": [
        ("forward", "y_i = x_hat_i + beta"),
        ("forward", "None means beta = 0"),
        ("jacobian", "u = 1/(m sqrt(sigma^2_B + eps))"),
    ],
    "x_hat twice": [("forward", "y_i = beta x_hat_i^2 + gamma x_hat_i")],
    "exponential": [("forward", "exp(x_hat_i)")],
}  # fmt: skip

LACKS = {
    "no mean": ["mean_rest", "mu_B", "x_centred", "x_shifted"],
    "no gamma": ["gamma"],
    "not centred": ["dmu = ", "dmu / m"],
    "unbiased": ["(1/m) sum_i (x_i - mu_B)^2"],
}


@pytest.mark.parametrize(
    ("name", "function", "formula"),
    [(name, function, formula) for name, said in SAYS.items() for function, formula in said],
)
def test_the_docstring_has_the_layer_s_formula(name: str, function: str, formula: str) -> None:
    assert formula in doc(name, function)


@pytest.mark.parametrize(
    ("name", "word"), [(name, word) for name, words in LACKS.items() for word in words]
)
def test_what_the_layer_lacks_is_nowhere(name: str, word: str) -> None:
    assert word not in source(name)
    assert word in source("batch_norm")


def test_something_is_asked_of_every_layer() -> None:
    assert set(SAYS) == set(NAMES)


CACHES = {
    "batch_norm": ["x", "gamma", "mean", "mean_rest", "var", "inv_std", "eps", "axis"],
    "eps outside": ["x", "gamma", "mean", "mean_rest", "var", "inv_std", "eps", "axis"],
    "unbiased": ["x", "gamma", "mean", "mean_rest", "var", "inv_std", "axis"],
    "no mean": ["x", "gamma", "var", "inv_std", "axis"],
    "no gamma": ["x", "mean", "mean_rest", "var", "inv_std", "axis"],
    "x_hat twice": ["x", "gamma", "beta", "mean", "mean_rest", "var", "inv_std", "axis"],
}


@pytest.mark.parametrize("name", CACHES)
def test_the_cache_has_what_the_layer_needs_and_no_more(name: str) -> None:
    assert fields(name) == CACHES[name]


def test_every_line_of_a_core_says_where_it_comes_from() -> None:
    """An assignment has its note beside it or above, but for the loops' own lines."""
    own_lines = ("layout.", "_wide(", "jacobian", "work.", "block.", "part.", " work)")
    text = source("batch_norm")
    for core in cores(text).values():
        lines = (ast.get_source_segment(text, core) or "").splitlines()
        for before, line in pairwise(lines):
            if " = " in line and not any(own in line for own in own_lines):
                assert "  # " in line or before.strip().startswith("# "), line


# --- What is refused -----------------------------------------------------------------------------

REFUSED = {
    "batch_norm_2d": "the NumPy backend has no array layout for batch_norm_2d yet; it generates "
    "layers that reduce over the batch, like batch_norm, over the features of a row, like "
    "layer_norm, or within a sample, like instance_norm and group_norm",
    "softmax": "the NumPy backend needs data called x and an output called y; softmax has x and p",
    "learnt scale": "the NumPy backend needs one value of scale for each c, not scale",
    "part of the mean": "the NumPy backend needs one value of scale for each c, not scale",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_has_no_kernel_yet_is_refused(name: str) -> None:
    with pytest.raises(InputError) as raised:
        BACKENDS["numpy"].render(kernels_of(name))
    assert str(raised.value) == REFUSED[name]


def test_data_and_output_of_another_name_are_refused() -> None:
    out = Var("out", n, c)
    definitions = (
        *BATCH_NORM.definitions[:2],
        Definition(out, gamma * (x - mu) / sqrt(var + eps)),
    )
    renamed = replace(BATCH_NORM, name="renamed", learnt=(gamma,), definitions=definitions)
    with pytest.raises(InputError, match=r"data called x and an output called y; renamed has x an"):
        BACKENDS["numpy"].render(build(derive(renamed)))
