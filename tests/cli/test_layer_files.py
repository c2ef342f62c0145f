"""A user's own layer on the command line: derived, verified, run and generated from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.options import is_file
from tests.cli.calling import ROOT, Outcome, call, is_one_line_of_error

EXAMPLES = sorted((ROOT / "examples").glob("*.layer"))
WITH_KERNELS = ("batch_renorm", "centred_softmax", "energy_norm", "nameless")

BEHIND = """\
axes: n, c
x[n, c]; gamma[c]; beta[c]; eps > 0
mu[c]      = mean[n](x)
var[c]     = mean[n]((x - mu)^2)
x_hat[n,c] = (x - mu) / sqrt(var + eps)
z[n,c]     = gamma * x_hat + beta
y[n,c]     = log(z)
"""


@pytest.fixture
def behind(tmp_path: Path) -> str:
    """log behind Batch Norm, which has no normal form."""
    path = tmp_path / "behind.layer"
    path.write_text(BEHIND, encoding="utf-8")
    return str(path)


def row(shown: Outcome, name: str) -> list[str]:
    return next(line.split() for line in shown.lines if line.strip().startswith(name + " "))


# --- Examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_derived_and_verified(path: Path) -> None:
    derived = call("derive", str(path), "--no-steps")
    assert (derived.status, derived.err) == (0, "")
    assert "Closed forms" in derived.lines
    verified = call("verify", str(path))
    assert verified.status == 0, verified.out
    assert "all passed" in verified.lines[-2]
    assert verified.lines[-1].startswith("exact: against the definitions themselves")
    has_kernel = path.stem in WITH_KERNELS
    assert ("kernel backward: dx" in verified.out) == has_kernel
    assert (" skipped" in verified.lines[-2]) != has_kernel


def test_what_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch_norm").mkdir()
    (tmp_path / "mine").write_text(BEHIND)
    assert [name for name in ("a.layer", "a/b", "./a", "mine") if not is_file(name)] == []
    assert not any(map(is_file, ("batch_norm", "batch_nrom", "softmax", "layer")))


# --- Mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["derive", "verify", "run", "generate"])
def test_a_mistake_is_shown_with_its_line_and_a_caret(tmp_path: Path, command: str) -> None:
    path = tmp_path / "wrong.layer"
    path.write_text(BEHIND.replace("mean[n](x)", "mean[n](v)"), encoding="utf-8")
    more = ["--out", str(tmp_path)] if command == "generate" else []
    shown = call(command, str(path), *more)
    assert (shown.status, shown.out) == (2, "")
    first, line, caret = shown.err.splitlines()
    assert f"{path.name}:3:22: unknown name v" in first
    assert line == "    mu[c]      = mean[n](v)"
    assert caret.index("^") == line.index("v")


@pytest.mark.parametrize("command", ["derive", "verify", "run"])
def test_no_such_file(tmp_path: Path, command: str) -> None:
    shown = call(command, str(tmp_path / "absent.layer"))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert "absent.layer" in shown.err


def test_damages_go_with_layers_that_ship() -> None:
    shown = call("verify", str(EXAMPLES[0]), "--mutants")
    assert shown.status == 2
    assert "--mutants goes with a layer that ships, not with a file" in shown.err


# --- Out of the engine's reach --------------------------------------------------------------------


def test_what_cannot_be_proved_is_staged_and_says_so(behind: str) -> None:
    shown = call("derive", behind)
    assert shown.status == 0
    assert "Not proved" in shown.lines
    assert "Closed forms" not in shown.out
    words = " ".join(shown.out.split())
    assert "cannot prove the gradients of this layer: division by beta[c] + gamma[c]" in words
    assert "compares it exactly at sampled sizes" in words
    assert "Staged adjoints" in shown.out
    for form in ("closed", "jacobian"):
        refused = call("derive", behind, "--form", form)
        assert refused.status == 2
        assert is_one_line_of_error(refused), refused
        assert "there is only --form staged" in refused.err


def test_what_cannot_be_proved_is_exact(behind: str) -> None:
    shown = call("verify", behind)
    assert shown.status == 0
    assert row(shown, "gradients")[-1] == "skipped"
    assert row(shown, "∂ℓ/∂x")[1:] == ["64", "pass"]
    assert row(shown, "jvp")[-1] == "pass"
    assert "skipped: proved gradients: behind: the engine cannot prove" in shown.out
    assert "proved 0, exact 580, checked 0: all passed, 3 skipped" in shown.out


def test_what_cannot_be_proved_has_no_kernel(behind: str, tmp_path: Path) -> None:
    shown = call("generate", behind, "--out", str(tmp_path / "kernels"))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert "the engine cannot prove" in shown.err
    assert not (tmp_path / "kernels").exists()


# --- Kernels --------------------------------------------------------------------------------------


def test_a_kernel_is_written_and_checked(tmp_path: Path) -> None:
    layer, out = str(ROOT / "examples" / "nameless.layer"), str(tmp_path / "kernels")
    module = tmp_path / "kernels" / "numpy_kernels" / "nameless.py"
    written = call("generate", layer, "--out", out)
    assert (written.status, written.lines[-1]) == (0, f"{module}: written")
    text = module.read_text(encoding="utf-8")
    assert "from nameless for numpy." in text
    assert "# Do not edit: change nameless.layer and run `backnorm generate`." in text
    assert str(tmp_path) not in text
    assert "derive/layers" not in text
    assert sorted(p.name for p in module.parent.iterdir()) == ["__init__.py", "nameless.py"]
    assert call("generate", layer, "--out", out, "--check").status == 0
    module.write_text(text.replace("np.abs", "np.sqrt"), encoding="utf-8")
    damaged = call("generate", layer, "--out", out, "--check")
    assert damaged.status == 1
    assert "differs in what the code does" in damaged.out


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("cosine_similarity", "cosine_similarity has no square Jacobian, and no kernels yet"),
    ],
)
def test_what_the_backend_does_not_take(tmp_path: Path, example: str, said: str) -> None:
    path = ROOT / "examples" / f"{example}.layer"
    shown = call("generate", str(path), "--out", str(tmp_path / "kernels"))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert said in shown.err
    assert not (tmp_path / "kernels").exists()


def test_a_file_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    path = str(ROOT / "examples" / "nameless.layer")
    shown = call("generate", path)
    assert shown.status == 2
    assert "nameless.layer needs --out FOLDER" in shown.err
    (tmp_path / "nameless.layer").write_text(BEHIND)
    two = call("generate", path, str(tmp_path / "nameless.layer"), "--out", str(tmp_path))
    assert two.status == 2
    assert "another layer is called nameless too" in two.err


# --- The whole job --------------------------------------------------------------------------------


def test_the_whole_job() -> None:
    before = sorted((ROOT / "generated").rglob("*.py"))
    shown = call("run", str(ROOT / "examples" / "energy_norm.layer"), "--seed", "3")
    assert shown.status == 0, shown.err
    assert "Closed forms" in shown.lines
    assert "all passed" in shown.lines[-2]
    assert sorted((ROOT / "generated").rglob("*.py")) == before


def test_a_file_that_is_called_like_a_layer_that_ships(tmp_path: Path) -> None:
    """It is verified by its own definitions, not by what ships."""
    path = tmp_path / "softmax.layer"
    text = (ROOT / "examples" / "attention_row.layer").read_text(encoding="utf-8")
    path.write_text(text.replace("layer attention_row:", "layer softmax:"), encoding="utf-8")
    shown = call("verify", str(path))
    assert shown.status == 0, shown.out
    assert "∂ℓ/∂scale" not in shown.out
    assert row(shown, "∂ℓ/∂s")[-1] == "pass"
