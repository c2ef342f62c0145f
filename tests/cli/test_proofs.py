"""``prove`` and ``check``: certificates on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.calling import ROOT, call, is_one_line_of_error, process

PROOF = re.compile(r"softmax: proved for every size, in \d+ equalities: 3 gradients, \d+ steps, 1")


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proofs") / "proof.json"
    assert call("prove", "softmax", "-o", str(path)).status == 0
    return path


def test_a_layer_is_proved_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "proof.json"
    shown = call("prove", "softmax", "-o", str(path))
    assert shown.status == 0
    assert shown.lines[0] == f"{path}: written"  # whole, however long it is
    assert shown.lines[1].startswith("3 definitions, ")
    checked = call("check", str(path))
    assert (checked.status, checked.err) == (0, "")
    assert checked.lines[:4] == [
        "Definitions",
        "  e[n,c] = exp(x[n,c])",
        "  Z[n] = sum[c](e[n,c])",
        "  p[n,c] = e[n,c]/Z[n]",
    ]
    assert PROOF.fullmatch(checked.lines[-2])
    assert checked.out.isascii()


def test_without_a_file_it_is_printed(proof: Path) -> None:
    shown = call("prove", "softmax")
    assert shown.status == 0
    assert shown.out == proof.read_text(encoding="utf-8")


def test_a_file_of_a_user(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    assert call("prove", str(ROOT / "examples" / "nameless.layer"), "-o", str(path)).status == 0
    shown = call("check", str(path))
    assert shown.status == 0
    assert "  where eps > 0" in shown.lines


def test_a_layer_that_is_not_proved(tmp_path: Path) -> None:
    path, layer = tmp_path / "proof.json", tmp_path / "cube.layer"
    layer.write_text(
        "axes: n (m)\nx[n]; eps > 0\nvar = mean[n](x^2)\nz[n] = x / sqrt(var + eps)\n"
        "y[n] = z * (mean[n](log(z)) + 1)^(1/3)\n",
        encoding="utf-8",
    )
    shown = call("prove", str(layer), "-o", str(path))
    assert shown.status == 2
    assert is_one_line_of_error(shown)
    assert "has no certificate: nothing is proved of it" in shown.err
    assert not path.exists()


def test_a_damaged_step_is_refused_by_name(tmp_path: Path, proof: Path) -> None:
    data = json.loads(proof.read_text(encoding="utf-8"))
    data["gradients"][2]["steps"][0]["after"] = 0
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    shown = call("check", str(path))
    assert shown.status == 1
    assert shown.lines == [
        "REFUSED: gradient of x, step 1 (insert): the two sides are not equal",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("1" * 5000, "no JSON"),
        ("[]", "it is no backnorm certificate"),
        ('{"format": "backnorm certificate", "version": 2}', "its version is 2; this reads 1"),
        ("\udcff", "no JSON"),
    ],
)
def test_what_is_no_certificate(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    shown = call("check", str(path))
    assert shown.status == 2
    assert is_one_line_of_error(shown)
    assert said in shown.err


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        shown = call("check", str(path))
        assert shown.status == 2
        assert is_one_line_of_error(shown)


def test_the_same_file_under_every_hash_seed(proof: Path) -> None:
    for seed in ("1", "2"):
        shown = process("prove", "softmax", variables={"PYTHONHASHSEED": seed})
        assert shown.out == proof.read_text(encoding="utf-8")
