"""What an installation puts on a user's disk: the wheel's exact top-level names and files.

The wheel is built from a copy of the files that git tracks or would track, so that nothing ignored
can fill a gap, and the checkout stays as it was.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata, util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"codegen", "commands", "data", "derive", "generated", "plots", "verify"}
TOP_LEVEL = PACKAGES | {"cli"}
OFFLINE = "No matching distribution found for setuptools"


def problems(wheel: list[str], tracked: list[str]) -> list[str]:
    """What is wrong with the file names in a wheel, given those in the repository."""
    files = {name for name in wheel if not name.partition("/")[0].endswith(".dist-info")}
    found = []
    top = {name.partition("/")[0].removesuffix(".py") for name in files}
    if top != TOP_LEVEL:
        found.append(f"top-level names {sorted(top)}, not {sorted(TOP_LEVEL)}")
    if "data/wine.csv" not in files:
        found.append("data/wine.csv is missing")
    wanted = {name for name in tracked if name.endswith((".py", ".toml"))}
    wanted = {name for name in wanted if name == "cli.py" or name.partition("/")[0] in PACKAGES}
    found += [f"{name} is missing" for name in sorted(wanted - files)]
    found += [f"{name} is not in the repository" for name in sorted(files - set(tracked))]
    return found


def tracked_files() -> list[str]:
    git = shutil.which("git")
    if git is None:
        pytest.skip("NOT TESTED: the wheel's content needs git")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip(f"NOT TESTED: the wheel's content needs a git checkout: {listed.stderr}")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def build_wheel(source: Path, into: Path) -> Path:
    """By pip; without build isolation where the environment has the build backend itself."""
    if util.find_spec("pip") is None:
        pytest.skip("NOT TESTED: building the wheel needs pip in this environment")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(into)]
    if has_backend():
        command.append("--no-build-isolation")
    built = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if built.returncode and OFFLINE in built.stderr:
        pytest.skip("NOT TESTED: building the wheel needs setuptools >= 77 or the network")
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def has_backend() -> bool:
    try:
        return int(metadata.version("setuptools").partition(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


def test_the_wheel_holds_the_application_and_nothing_else(tmp_path: Path) -> None:
    tracked = tracked_files()
    for name in tracked:
        copy = tmp_path / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    wheel = build_wheel(tmp_path / "source", tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert not problems(names, tracked)
        assert archive.read("data/wine.csv") == (ROOT / "data/wine.csv").read_bytes()
        (entry_points,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert "backnorm = cli:main" in archive.read(entry_points).decode()


TRACKED = [
    "README.md",
    "cli.py",
    "codegen/__init__.py",
    "commands/__init__.py",
    "data/__init__.py",
    "data/wine.csv",
    "derive/__init__.py",
    "derive/layers/__init__.py",
    "docs/conf.py",
    "generated/__init__.py",
    "plots/__init__.py",
    "tests/__init__.py",
    "verify/__init__.py",
    "verify/audit/documents/000.toml",
]
WHEEL = [
    "backnorm-1.dist-info/METADATA",
    *(name for name in TRACKED if not name.startswith(("README", "docs", "tests"))),
]


@pytest.mark.parametrize(
    ("removed", "added", "said"),
    [
        ("", "tests/__init__.py", "top-level names"),
        ("", "docs/conf.py", "top-level names"),
        ("", "benchmarks/run.py", "top-level names"),
        ("cli.py", "", "top-level names"),
        ("verify/__init__.py", "", "verify/__init__.py is missing"),
        ("data/wine.csv", "", "data/wine.csv is missing"),
        ("derive/layers/__init__.py", "", "derive/layers/__init__.py is missing"),
        ("verify/audit/documents/000.toml", "", "verify/audit/documents/000.toml is missing"),
        ("", "generated/stale.py", "generated/stale.py is not in the repository"),
    ],
)
def test_a_wrong_wheel_is_caught(removed: str, added: str, said: str) -> None:
    assert problems(WHEEL, TRACKED) == []
    wheel = [name for name in [*WHEEL, added] if name not in ("", removed)]
    assert any(said in problem for problem in problems(wheel, TRACKED))
