"""Certificates: every layer's is replayed, every damage refused, and so are forgeries."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from derive.derivation import derive, derive_or_stage
from derive.errors import InputError
from derive.grammar import load, parse_layer
from derive.layers import LAYERS
from verify.certificate import certificate, text
from verify.certificate_damages import WORDS
from verify.checker.replay import FormatError, check
from verify.checker.terms import ProofError

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.layer"))
Json = Any


@pytest.fixture(scope="module")
def softmax() -> Json:
    return certificate(derive(LAYERS["softmax"]))


@pytest.fixture(scope="module")
def batch_norm() -> Json:
    return certificate(derive(LAYERS["batch_norm"]))


def refused(data: Json, said: str) -> None:
    with pytest.raises(ProofError, match=said):
        check(data)


# --- What is proved -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_certificate_that_checks_in_two_seconds(name: str) -> None:
    derivation = derive(LAYERS[name])
    start = time.process_time()
    data = certificate(derivation)  # it is written, and replayed
    assert time.process_time() - start < 2
    assert data["counts"]["steps"] == sum(1 for _ in derivation.steps())
    assert data["counts"]["facts"] == len(derivation.all_facts())
    gradients = {node["of"] for node in data["gradients"]}
    assert gradients == {result.var.of for result in derivation.adjoints}


def test_what_is_written_is_what_is_read(batch_norm: Json) -> None:
    data = json.loads(text(batch_norm))
    assert data == batch_norm
    assert check(data).steps == data["counts"]["steps"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_layers_of_users_have_one(path: Path) -> None:
    assert certificate(derive(load(str(path))))["counts"]["steps"] > 10


FUNCTIONS = "axes: n (m)\nx[n]; a\nmu = mean[n](x)\nz[n] = x - mu\ny[n] = {} * z + a\n"


@pytest.mark.parametrize("of", ["erf(a*z)", "tanh(z)", "max(z, a)", "abs(x)", "exp(a - z)"])
def test_elementwise_functions_are_covered(of: str) -> None:
    layer = parse_layer(FUNCTIONS.format(of), "test.layer")
    assert certificate(derive(layer))["counts"]["gradients"] == 4


def test_what_is_not_proved_has_none() -> None:
    layer = parse_layer(
        "axes: n (m)\nx[n]; eps > 0\nvar = mean[n](x^2)\nz[n] = x / sqrt(var + eps)\n"
        "y[n] = z * (mean[n](log(z)) + 1)^(1/3)\n",
        "test.layer",
    )
    derivation = derive_or_stage(layer)
    assert derivation.unproved
    with pytest.raises(InputError, match="has no certificate: nothing is proved of it"):
        certificate(derivation)


def test_assumptions_that_no_proof_needs_are_left_out(softmax: Json) -> None:
    source = (ROOT / "examples" / "attention_row.layer").read_text(encoding="utf-8")
    data = certificate(derive(parse_layer(source, "test.layer")))
    assert [node["sign"] for node in data["parameters"]] == [None]  # the layer says scale > 0
    data["parameters"][0]["sign"] = "positive"
    refused(data, "inputs: no proof needs the sign of scale")


# --- Its own --------------------------------------------------------------------------------------


def test_it_imports_nothing_but_python() -> None:
    for path in sorted((ROOT / "verify" / "checker").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                own = module.startswith("verify.checker.")
                assert own or module.partition(".")[0] in sys.stdlib_module_names, (path, module)


def test_it_runs_where_nothing_is_installed(tmp_path: Path, softmax: Json) -> None:
    """Without site-packages: with Python's own library and the checkout."""
    path = tmp_path / "proof.json"
    path.write_text(text(softmax), encoding="utf-8")

    def run() -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-S", "-m", "verify.checker", str(path)]
        return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)

    ended = run()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "  dx[n,c] = p[n,c]*(dp[n,c] - sum[c](dp[n,c]*p[n,c]))" in ended.stdout.splitlines()
    path.write_text(text({**softmax, "facts": []}), encoding="utf-8")
    assert run().returncode == 1
    path.write_text("[", encoding="utf-8")
    assert run().returncode == 2


# --- Damages (tests/verify/test_mutation_proofs.py makes hundreds) -------------------------------


def test_words_carry_no_claim(batch_norm: Json) -> None:
    def other(node: Json, key: str = "") -> Json:
        if key in WORDS and key != "axes":
            return "something else"
        if isinstance(node, dict):
            return {name: other(item, name) for name, item in node.items()}
        return [other(item) for item in node] if isinstance(node, list) else node

    changed = other({**batch_norm, "axes": {"n": "M", "c": "D"}})
    assert changed != batch_norm
    check(changed)


def test_a_refusal_names_the_step(batch_norm: Json) -> None:
    for at, said in [
        (("gradients", 3, "steps", 1, "after"), r"gradient of x, step 2 \(normalise\): "),
        (("gradients", 1, "steps", 0, "before"), r"gradient of var, step 1 \(insert\): "),
        (("gradients", 3, "closed"), "gradient of x, closed form: "),
        (("definitions", 1, "is"), "definition of var: "),
        (("identities", 0, "is"), "identity of mu: "),
        (("coordinates", 1, "by"), "coordinate x: "),
        (("jacobian", "R", "is"), "jacobian: |derivative by x"),
        (("facts", 4, "right"), "fact 5: "),
    ]:
        data = deepcopy(batch_norm)
        node = data
        for key in at[:-1]:
            node = node[key]
        node[at[-1]] = 7
        refused(data, said)


# --- Forgeries: consistent in themselves, and false -----------------------------------------------


def _gradient(data: Json, of: str, closed: Json) -> None:
    (node,) = (node for node in data["gradients"] if node["of"] == of)
    data["counts"]["steps"] -= len(node["steps"])
    node |= {"start": closed, "steps": [], "closed": closed}


def _no_term(data: Json) -> None:
    """dx = γ dy/√(σ² + ε), as if the statistics were constants."""
    root = ["pow", ["add", ["var", "var", "c"], ["var", "eps"]], -1, 2]
    _gradient(data, "x", ["mul", ["var", "gamma", "c"], root, ["var", "dy", "n", "c"]])


def _double(data: Json) -> None:
    _gradient(data, "beta", ["mul", 2, ["sum", ["var", "dy", "n", "c"], "n"]])


def _tangents(data: Json) -> None:
    """Orthogonal to every tangent, because it depends on it: no gradient."""
    true = ["sum", ["var", "dy", "n", "c"], "n"]
    a, b = ["var", "beta_dot", "c"], ["var", "gamma", "c"]
    spurious = ["add", ["mul", ["sum", ["mul", b, b], "c"], a], ["mul", -1, b]]
    _gradient(data, "beta", ["add", true, spurious])


def _itself(data: Json) -> None:
    _gradient(data, "beta", ["var", "dbeta", "c"])


def _circle(data: Json) -> None:
    """x := x is true, and of no use."""
    data["coordinates"][1]["by"] = ["var", "x", "n", "c"]


def _twice(data: Json) -> None:
    data["coordinates"].append(data["coordinates"][-1])
    data["counts"]["coordinates"] += 1


def _unfolded_statistic(data: Json) -> None:
    data["coordinates"].append({"kind": "unfolded", "of": "mu"})
    data["counts"]["coordinates"] += 1


def _row_root(data: Json) -> None:
    """A root without the index that its base has."""
    data["coordinates"][0]["indices"] = []


def _zero_identity(data: Json) -> None:
    """0·(Σx̂² − 7) = 0 is true, and says nothing of Σx̂²."""
    data["identities"][1] |= {"is": 7, "times": 0}


def _free_identity(data: Json) -> None:
    data["identities"].append({"of": "mu", "sum": ["var", "x_hat", "n", "c"], "is": 0, "times": 1})
    data["counts"]["identities"] += 1


def _no_sign(data: Json) -> None:
    data["parameters"][0]["sign"] = "nonnegative"


def _hidden_input(data: Json) -> None:
    """γ a constant: its gradient would be left out."""
    data["parameters"].append(data["inputs"].pop(1))


def _other_entry(data: Json) -> None:
    """∂y/∂x at the row's own index is no entry of a matrix."""
    data["jacobian"]["columns"] = {"n": "n"}


def _name_of_a_tangent(data: Json) -> None:
    """A quantity called x_dot would be taken for the tangent of x."""
    data["parameters"].append({"name": "x_dot", "indices": ["n", "c"], "sign": None})


FORGERIES: list[tuple[Callable[[Json], None], str]] = [
    (_no_term, "gradient of x, closed form: the two sides are not equal"),
    (_double, "gradient of beta, closed form: the two sides are not equal"),
    (_tangents, "gradient of beta, closed form: 'beta_dot' is not declared"),
    (_itself, "gradient of beta, closed form: the two sides are not equal"),
    (_circle, "it goes round in circles|not equal"),
    (_twice, "coordinate y: it is replaced already"),
    (_unfolded_statistic, "it goes round in circles"),
    (_row_root, "vary with different indices"),
    (_zero_identity, "not equal|the factor may be 0"),
    (_free_identity, "identity of mu: "),
    (_no_sign, "coordinate inv_root_var: the base is not always positive"),
    (_hidden_input, "gradients: 'gamma' has a gradient already, or gets none"),
    (_other_entry, "jacobian: its rows are indices of x, its columns others"),
    (_name_of_a_tangent, "'x_dot' is no new name"),
]


@pytest.mark.parametrize(
    ("forge", "said"), FORGERIES, ids=lambda item: getattr(item, "__name__", "")
)
def test_a_forgery_is_refused(forge: Callable[[Json], None], said: str, batch_norm: Json) -> None:
    data = deepcopy(batch_norm)
    forge(data)
    refused(data, said)


@pytest.mark.parametrize("data", [None, [], {}, {"format": "backnorm certificate"}, 1, "x"])
def test_other_data_is_no_certificate(data: Json) -> None:
    with pytest.raises(FormatError):
        check(data)


@pytest.mark.parametrize("version", [0, 2, True, "1", None, 1.0])
def test_another_version_is_not_guessed_at(version: Json, softmax: Json) -> None:
    with pytest.raises(FormatError, match="its version is"):
        check({**softmax, "version": version})


def test_a_deep_formula_is_refused(softmax: Json) -> None:
    deep: Json = 1
    for _ in range(20_000):
        deep = ["pow", deep, 1, 1]
    softmax = {**softmax, "facts": [{"says": "", "left": deep, "steps": [], "right": 1}]}
    refused(softmax, "fact 1: it goes round in circles, or too far")
