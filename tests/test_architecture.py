"""The rules that every source file keeps, read from its syntax tree without importing it.

Imports run one way, derive ← codegen ← verify ← commands ← cli.py, and a file in generated/ stands
alone with its array library.  Nothing evaluates text.  Each rule is also fed a source that breaks
it.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "benchmarks",
    "codegen",
    "commands",
    "data",
    "derive",
    "generated",
    "tests",
    "verify",
)
LONGEST = 400

# What each part may import of the project; tests and benchmarks may import everything.
MAY_IMPORT = {
    "data": {"data"},
    "derive": {"derive"},
    "codegen": {"codegen", "derive"},
    "generated": set[str](),
    "verify": {"codegen", "data", "derive", "generated", "verify"},
    "commands": {"codegen", "commands", "data", "derive", "generated", "verify"},
    "cli": {"commands", "derive"},
}
PROJECT = {*FOLDERS, "cli"}
ARRAY_LIBRARIES = {"numba", "numpy", "llvmlite"}  # which numba brings

# SymPy's simplify is slow and loses the shape, doit on a Sum gives Piecewise, lambdify prints
# loops; parse_expr evaluates text, as sympify does unless it is strict.
NO_SYMPY = {"doit", "lambdify", "parse_expr", "simplify"}
EVALUATORS = {"__import__", "compile", "eval", "exec", "import_module"}
NOQA = r"(ruff:\s*)?noqa(:\s*[A-Z]+\d+([,\s]+[A-Z]+\d+)*)?"
DIRECTIVE = re.compile(rf"type:\s*ignore(\[[^]]*\])?|{NOQA}")


def sources() -> Iterator[tuple[str, str]]:
    """The path below the root and the text of every source file."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in [*paths, *sorted(ROOT.glob("*.py"))]:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def violations(path: str, source: str) -> list[str]:
    """What is wrong with one file, a line each."""
    part = path.partition("/")[0].removesuffix(".py")
    tree = ast.parse(source)
    found: list[tuple[int, str]] = []
    if part in MAY_IMPORT:
        found += _imports(part, tree)
    if part in ("derive", "codegen", "commands", "cli"):
        found += _sympy(tree)
    found += _evaluation(part, tree)
    found += _unexplained(source)
    length = len(source.splitlines())
    if length >= LONGEST and part != "generated":
        found.append((length, f"{LONGEST} lines or more: split the file"))
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def _imports(part: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import: name the module in full"
            continue
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for top in (module.partition(".")[0] for module in modules):
            if top in PROJECT and top not in MAY_IMPORT[part]:
                yield node.lineno, f"{part} must not import {top}"
            elif (
                part == "generated"
                and top not in PROJECT | ARRAY_LIBRARIES
                and top not in sys.stdlib_module_names
            ):
                yield node.lineno, f"generated/ stands alone with its array library, not {top}"


def _sympy(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Uses of what SymPy does wrongly or by evaluating text.  A name counts where it comes from
    SymPy, an attribute always (``expr.doit()``, ``sympy.simplify``)."""
    local: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sympy":
            for alias in node.names:
                local[alias.asname or alias.name] = alias.name
                if alias.name in NO_SYMPY:
                    yield node.lineno, f"SymPy's {alias.name}"
        elif isinstance(node, ast.Attribute) and node.attr in NO_SYMPY:
            yield node.lineno, f"SymPy's {node.attr}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name):
            name = local.get(called.id, "")
        else:
            name = called.attr if isinstance(called, ast.Attribute) else ""
        if name == "S" or (name == "sympify" and not _strict(node)):
            yield node.lineno, f"SymPy's {name} evaluates text: use sympify(…, strict=True)"


def _strict(call: ast.Call) -> bool:
    return any(
        keyword.arg == "strict"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in call.keywords
    )


def _evaluation(part: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Evaluators by name or as builtins.eval; re.compile and the like are none."""
    if part in ("tests", "benchmarks"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = node.attr if node.value.id in ("builtins", "importlib") else ""
        else:
            continue
        if name in EVALUATORS and (name == "eval" or part != "verify"):
            yield node.lineno, f"{name}: no text is evaluated here"


def _unexplained(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        rest, count = DIRECTIVE.subn("", token.string)
        if count and not re.search(r"\w{3}", rest):
            yield token.start[0], f"no reason after {token.string}"


# --- The project ---------------------------------------------------------------------------------


def test_every_source_keeps_the_rules() -> None:
    found = [line for path, source in sources() for line in violations(path, source)]
    assert not found, "\n".join(found)


def test_every_source_is_read() -> None:
    paths = {path for path, _ in sources()}
    assert {"derive/expr.py", "derive/layers/batch_norm.py", "verify/data.py"} <= paths
    assert {path.partition("/")[0] for path in paths} >= PROJECT - {"benchmarks", "cli"}


def test_generated_source_is_loaded_in_one_place() -> None:
    """In verify/ one file alone may execute source: the one that loads generated modules."""
    loaders = [path for path, source in sources() if executes(path, source)]
    assert len(loaders) <= 1, loaders


def executes(path: str, source: str) -> bool:
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    return path.startswith("verify/") and bool({"compile", "exec"} & names)


# --- The rules themselves ------------------------------------------------------------------------

BAD = [
    ("derive/x.py", "import codegen.ir", "derive must not import codegen"),
    ("derive/x.py", "from verify.data import load", "derive must not import verify"),
    ("derive/x.py", "def f():\n    import cli", "x.py:2: derive must not import cli"),
    ("derive/x.py", "import numpy, generated", "derive must not import generated"),
    ("derive/x.py", "if TYPE_CHECKING:\n    import codegen", "must not import codegen"),
    ("derive/render/x.py", "from ...codegen import ir", "relative import"),
    ("derive/x.py", "from tests import oracle", "derive must not import tests"),
    ("codegen/x.py", "from verify import exact", "codegen must not import verify"),
    ("codegen/backends/x.py", "import generated.numpy_kernels", "must not import generated"),
    ("codegen/x.py", "import data", "codegen must not import data"),
    ("verify/x.py", "import cli", "verify must not import cli"),
    ("verify/x.py", "from commands import console", "verify must not import commands"),
    ("commands/x.py", "def command():\n    import cli", "commands must not import cli"),
    ("commands/x.py", "from tests import altered", "commands must not import tests"),
    ("cli.py", "from verify import report", "cli must not import verify"),
    ("verify/x.py", "from benchmarks.run import main", "verify must not import benchmarks"),
    ("cli.py", "import tests", "cli must not import tests"),
    ("data/__init__.py", "import derive", "data must not import derive"),
    ("generated/numpy_kernels/x.py", "from derive import expr", "must not import derive"),
    ("generated/numpy_kernels/x.py", "import generated", "generated must not import generated"),
    ("generated/numpy_kernels/x.py", "from . import layer_norm", "relative import"),
    ("generated/numpy_kernels/x.py", "import sympy", "array library, not sympy"),
    ("derive/x.py", "from sympy import simplify", "SymPy's simplify"),
    ("derive/x.py", "from sympy import simplify as tidy", "SymPy's simplify"),
    ("derive/x.py", "from sympy.simplify.simplify import simplify", "SymPy's simplify"),
    ("codegen/x.py", "import sympy as sp\nsp.simplify(e)", "x.py:2: SymPy's simplify"),
    ("derive/x.py", "e.simplify()", "SymPy's simplify"),
    ("derive/x.py", "Sum(e, (i, 1, m)).doit()", "SymPy's doit"),
    ("codegen/x.py", "from sympy import lambdify", "SymPy's lambdify"),
    ("codegen/x.py", "sympy.utilities.lambdify([x], e)", "SymPy's lambdify"),
    ("commands/x.py", "from sympy.parsing.sympy_parser import parse_expr", "SymPy's parse_expr"),
    ("derive/x.py", "from sympy import sympify\nsympify('x + 1')", "sympify evaluates text"),
    ("derive/x.py", "sympy.sympify(e)", "sympify evaluates text"),
    ("codegen/x.py", "sympy.sympify(e, strict=False)", "sympify evaluates text"),
    ("cli.py", "from sympy import sympify as read\nread(str(a))", "sympify evaluates text"),
    ("derive/x.py", "from sympy import S\nS('1/2')", "S evaluates text"),
    ("derive/x.py", "eval('1')", "eval: no text"),
    ("derive/x.py", "run = exec", "exec: no text"),
    ("codegen/x.py", "compile(source, 'x', 'exec')", "compile: no text"),
    ("cli.py", "import builtins\nbuiltins.exec(text)", "cli.py:2: exec: no text"),
    ("codegen/x.py", "__import__('verify')", "__import__: no text"),
    ("derive/x.py", "importlib.import_module('codegen')", "import_module: no text"),
    ("generated/numpy_kernels/x.py", "exec(text)", "exec: no text"),
    ("verify/x.py", "eval(text)", "eval: no text"),
    ("derive/x.py", "x = 1\n" * 400, "400 lines or more"),
    ("tests/x.py", "x = 1\n" * 400, "400 lines or more"),
    ("derive/x.py", "x = y  # type: ignore", "no reason"),
    ("derive/x.py", "x = y  # type: ignore[misc, no-any-return]", "no reason"),
    ("tests/x.py", "import a  # noqa", "no reason"),
    ("tests/x.py", "import a  # noqa: F401, E402", "no reason"),
    ("tests/x.py", "import a  # type: ignore[x]  # noqa: F401", "no reason"),
    ("tests/x.py", "# ruff: noqa: F401", "no reason"),
]

GOOD = [
    ("derive/x.py", "import sympy\nfrom derive.expr import Axis"),
    ("codegen/x.py", "from derive.layer import Layer\nfrom codegen import ir"),
    ("verify/x.py", "import data, derive, codegen\nfrom generated import numpy_kernels"),
    ("verify/x.py", "exec(compile(source, name, 'exec'), space)"),
    ("commands/x.py", "def command():\n    from verify import report\n    import derive"),
    ("cli.py", "from commands import COMMANDS\nfrom derive.errors import InputError"),
    ("generated/numpy_kernels/x.py", "from __future__ import annotations\nimport math, numpy"),
    ("generated/numba_kernels/x.py", "from numba import njit"),
    ("generated/numpy_kernels/x.py", "x = 1\n" * 400),
    ("tests/x.py", "import cli, tests.oracle\neval('1')\nfrom sympy import simplify"),
    ("derive/x.py", "from sympy import S, sympify\nsympify(e, strict=True)\nS.One"),
    ("codegen/x.py", "import re\nre.compile('x')"),
    ("derive/x.py", "from derive.rules import simplify\nsimplify(e)"),
    ("derive/x.py", "class F:\n    def eval(cls): 'doit, eval(x) and # noqa in a text'"),
    ("derive/x.py", "x = 1\n" * 399),
    ("derive/x.py", "x = y  # type: ignore[misc]  # SymPy ships no types"),
    ("tests/x.py", "import a  # noqa: F401 - imported for its side effect"),
]


@pytest.mark.parametrize(("path", "source", "said"), BAD)
def test_a_violation_is_caught(path: str, source: str, said: str) -> None:
    found = violations(path, source)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


@pytest.mark.parametrize("call", ["exec(source)", "compile(source, 'x', 'exec')", "run = exec"])
def test_execution_in_verify_is_seen(call: str) -> None:
    assert executes("verify/x.py", call)
    assert not executes("verify/x.py", "re.compile('exec')")
    assert not executes("tests/x.py", call)
