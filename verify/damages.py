"""Damages to the source of a generated NumPy module, each of which verification has to notice.

Two kinds:

* :data:`OPERATORS` change one node of the syntax tree: of the cores, where all the mathematics is
  (a sign, a term, a factor, an exponent, m, a root, a sum, a block, a name), or of the functions
  around them (a check of the arguments is left out).
* :data:`REWRITES` replace a piece of text by another: precision, copies, aliasing, layouts.

The node is replaced in the text itself, so that a mutant differs from the source in one place and
keeps its line numbers.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from verify.damages_names import copies, second_names
from verify.damages_text import OTHER_REWRITES

CORES = (
    *("_forward", "_backward", "_backward_staged", "_jvp", "_jacobian"),
    *("_double_backward", "_backward_again", "_jvp_again", "_double_backward_again"),
    # of layers by rows
    *("_forward_rows", "_forward_wide", "_forward_in_pieces", "_statistics_in_pieces"),
    *("_backward_rows", "_backward_wide", "_backward_in_pieces"),
    *("_jvp_in_pieces", "_double_backward_in_pieces"),
)
PART_CORES = (
    *("_forward_part", "_statistics", "_backward_part", "_jvp_part", "_in_float64"),
    *("_infer_part", "_infer_backward_part"),
)
DEPLOYMENT_CORES = (
    *("_infer", "_infer_backward", "_fold", "_fold_linear"),
    *("_running_biased", "_running_unbiased", "_population"),
)
BLOCK_CORES = (
    *("_forward_before", "_forward_behind", "_backward_before", "_backward_behind"),
    *("_relu", "_relu_slope", "_sigmoid", "_sigmoid_slope", "_tanh", "_tanh_slope"),
)

SIZES = ("m", "batches")
INDICES = ("row", "block", "part")


@dataclass(frozen=True)
class Mutant:
    """A damaged source: what was done, in which line, and the whole text."""

    name: str
    line: int
    source: str


@dataclass(frozen=True)
class Operator:
    """``apply`` yields the texts that may stand in the place of a node."""

    name: str
    apply: Callable[[ast.AST], Iterator[str]]


def mutants(source: str) -> tuple[Mutant, ...]:
    """Every damage to a source, in the order of its lines, each text once.

    Raises SyntaxError if the source is not Python.
    """
    found = sorted((*_of_nodes(source), *_of_text(source)), key=lambda mutant: mutant.line)
    if "axis: int" not in source:  # a layout without that axis: anything would notice
        found = [mutant for mutant in found if "axis=layout.axis," not in mutant.name]
    distinct = {mutant.source: mutant for mutant in reversed(found) if mutant.source != source}
    return tuple(reversed(distinct.values()))


# --- Nodes ----------------------------------------------------------------------------------------


def _text(node: ast.AST) -> str:
    """The code of an operand, in brackets unless it is a single name or number."""
    code = ast.unparse(node)
    return code if isinstance(node, ast.Name | ast.Constant) else f"({code})"


def _operands(node: ast.AST, *kinds: type[ast.operator]) -> tuple[str, str] | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, kinds):
        return _text(node.left), _text(node.right)
    return None


def _method(node: ast.AST, name: str) -> ast.Call | None:
    """A call of ``np.name`` or ``layout.name``."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ):
        return node
    return None


def _sign(node: ast.AST) -> Iterator[str]:
    if sides := _operands(node, ast.Add, ast.Sub):
        assert isinstance(node, ast.BinOp)
        yield f"{sides[0]} {'-' if isinstance(node.op, ast.Add) else '+'} {sides[1]}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield _text(node.operand)
    if isinstance(node, ast.AugAssign):
        yield f"{ast.unparse(node.target)} -= {ast.unparse(node.value)}"


def _term(node: ast.AST) -> Iterator[str]:
    if sides := _operands(node, ast.Add):
        yield from sides
    elif sides := _operands(node, ast.Sub):
        yield from (sides[0], f"-{sides[1]}")


def _factor(node: ast.AST) -> Iterator[str]:
    if sides := _operands(node, ast.Mult):
        yield from sides
    elif sides := _operands(node, ast.Div):
        yield sides[0]


def _division(node: ast.AST) -> Iterator[str]:
    if sides := _operands(node, ast.Div):
        yield f"{sides[0]} * {sides[1]}"
    elif sides := _operands(node, ast.Mult):
        yield f"{sides[0]} / {sides[1]}"


def _exponent(node: ast.AST) -> Iterator[str]:
    if (sides := _operands(node, ast.Pow)) and sides[1].isdecimal():
        exponent = int(sides[1])
        yield from (f"{sides[0]}**{k}" for k in (exponent - 1, exponent + 1))


def _size(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and node.id in SIZES and isinstance(node.ctx, ast.Load):
        yield from (f"({node.id} - 1)", f"({node.id} + 1)")


def _root(node: ast.AST) -> Iterator[str]:
    if call := _method(node, "sqrt"):
        (under,) = call.args
        yield _text(under)
        if sides := _operands(under, ast.Add):
            yield f"(np.sqrt({sides[0]}) + {sides[1]})"


def _sum(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.AugAssign):
        yield f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
        yield "pass"
    if call := _method(node, "plus"):
        sums, *factors = (ast.unparse(argument) for argument in call.args)
        yield sums
        if ast.unparse(call.func) == "block.plus":  # that of rows adds in place
            yield f"(2 * {ast.unparse(call)})"
        yield from (f"block.plus({sums}, {factor})" for factor in factors if len(factors) > 1)
    if (call := _method(node, "total")) and ast.unparse(call.func) == "layout.total":
        summed = _text(call.args[0])
        yield f"(layout.total({summed}) / layout.m)"
        yield f"np.add.reduce({summed}, axis=layout.axis, keepdims=True)"
        yield f"(2 * layout.total({summed}))"
    if call := _method(node, "over_rows"):
        summed = _text(call.args[0])
        yield f"(layout.over_rows({summed}) / layout.m)"
        yield f"layout.total({summed})"
        yield f"(2 * layout.over_rows({summed}))"
    if call := _method(node, "reduce"):
        summed = _text(call.args[0])
        yield f"{summed}[0]"
        yield f"np.add.reduce({summed}, axis=1)"
        yield f"np.mean({summed}, axis=0)"
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "_total":
        summed = _text(node.args[0])
        yield f"(_total({summed}) / m)"
        yield f"_total({summed}[:, 1:])"
    if sides := _operands(node, ast.MatMult):  # a sum of products
        yield f"{sides[0]}[:, 1:] @ {sides[1]}[1:]"
        yield f"-{sides[0]} @ {sides[1]}"


def _blocks(node: ast.AST) -> Iterator[str]:
    if any(_method(node, name) for name in ("blocks", "pieces", "parts", "within")):
        blocks = ast.unparse(node)
        yield f"[next(iter({blocks}))]"
        yield f"list({blocks})[1:]"
        yield f"list({blocks})[:-1]"
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) in ("row", "block"):
        yield f"{ast.unparse(node.value)}[next(layout.blocks())]"


def _operation(node: ast.AST) -> Iterator[str]:
    others = {"block.less": "block.times", "block.times": "block.less"}
    if isinstance(node, ast.Attribute) and ast.unparse(node) in others:
        yield others[ast.unparse(node)]


def _precision(node: ast.AST) -> Iterator[str]:
    if _method(node, "zeros"):
        yield f"{ast.unparse(node)}.astype(np.float32)"
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
        target, value = ast.unparse(node.targets[0]), ast.unparse(node.value)
        yield f"{target} = np.asarray({value}).astype(np.float32)"


def _order(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        names = [ast.unparse(element) for element in node.value.elts]
        for k in range(len(names) - 1):
            swapped = [*names[:k], names[k + 1], names[k], *names[k + 2 :]]
            yield f"return {', '.join(swapped)}"


OPERATORS: tuple[Operator, ...] = (
    Operator("sign flipped", _sign),
    Operator("term dropped", _term),
    Operator("factor dropped", _factor),
    Operator("division", _division),
    Operator("exponent", _exponent),
    Operator("size", _size),
    Operator("root", _root),
    Operator("sum", _sum),
    Operator("operation", _operation),
    Operator("blocks", _blocks),
    Operator("precision", _precision),
    Operator("results swapped", _order),
)


def _check(node: ast.AST) -> Iterator[str]:
    """An ``if`` that only raises never does."""
    if isinstance(node, ast.If) and all(isinstance(step, ast.Raise) for step in node.body):
        yield "False"


def _of_nodes(source: str) -> Iterator[Mutant]:
    lines = source.encode().splitlines(keepends=True)
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        inside = [node for step in function.body for node in ast.walk(step)]
        if function.name in CORES + PART_CORES + DEPLOYMENT_CORES + BLOCK_CORES:
            for node in inside:
                for operator in OPERATORS:
                    for text in operator.apply(node):
                        yield _mutant(lines, node, text, operator.name, function.name)
            yield from _confused(lines, function, inside)
        else:
            for node in inside:
                for text in _check(node):
                    assert isinstance(node, ast.If)
                    yield _mutant(lines, node.test, text, "check left out", function.name)


def _confused(
    lines: list[bytes], function: ast.FunctionDef, inside: list[ast.AST]
) -> Iterator[Mutant]:
    """Each name that is read, replaced by the last other value that is known there."""
    known = {
        a.arg: 0 for a in function.args.args if a.annotation and ast.unparse(a.annotation) == "Any"
    }
    for node in inside:
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and node.id not in INDICES
        ):
            known.setdefault(node.id, node.lineno)
    left_out = {"m", *INDICES, *copies(inside)}
    known = {name: line for name, line in known.items() if name not in left_out}
    # Lists are of values that are looked at for overflow, where one tells as much as another, and
    # arguments of works and _is_narrow of arrays whose type is: float64 is always good enough.  Any
    # scratch is.
    looked_at = [node.elts for node in inside if isinstance(node, ast.List)]
    for name in ("works", "over", "like"):
        looked_at += [call.args for node in inside if (call := _method(node, name))]
    calls = [node for node in inside if isinstance(node, ast.Call)]
    looked_at += [call.args for call in calls if ast.unparse(call.func) == "_is_narrow"]
    looked_at += [[k.value for k in call.keywords] for call in calls]
    lies = second_names(inside)
    inside = [node for node in inside if not any(node in group for group in looked_at)]
    for node in inside:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in known:
            own = lies.get(node.id, node.id)
            others = [
                n for n, line in known.items() if line < node.lineno and lies.get(n, n) != own
            ]
            for last in sorted(others, key=lambda name: known[name])[-1:]:
                yield _mutant(lines, node, last, "name confused", function.name)


def _mutant(lines: list[bytes], node: ast.AST, text: str, operator: str, function: str) -> Mutant:
    """The source with one node replaced; positions in a syntax tree count bytes."""
    assert isinstance(node, ast.expr | ast.stmt)
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    before = b"".join(lines[:first]) + lines[first][: node.col_offset]
    after = lines[last - 1][node.end_col_offset :] + b"".join(lines[last:])
    new = f"({text})" if isinstance(node, ast.BinOp | ast.UnaryOp) else text
    name = f"{operator} in {function}: {ast.unparse(node)} → {text}"
    return Mutant(name, node.lineno, (before + new.encode() + after).decode())


# --- Text -----------------------------------------------------------------------------------------

REWRITES: tuple[tuple[str, str, str], ...] = (
    # precision and NumPy's state
    ("computed in float32", "_WIDE: Any = np.dtype(np.float64", "_WIDE: Any = np.dtype(np.float32"),
    ("errstate removed", 'np.errstate(all="ignore")', "np.errstate()"),
    ("block not widened", "block.astype(_WIDE, copy=False)", "block"),
    (
        "variance E[x²] − μ²",
        "sum_xshifted2 / m - sum_xshifted**2 / m**2",
        "sum_xshifted2 / m + 2 * mean * mean_rest + mean**2 - (mean + mean_rest) ** 2",
    ),
    # layout
    ("wrong axis", "block, axis=self.reduced", "block, axis=self.axis"),
    ("mean in place of a sum", "np.add.reduce(block", "np.mean(block"),
    ("one reduced axis counted", "for k in self.reduced)", "for k in self.reduced[:1])"),
    ("last row left out", "self.shape[cut], length)", "self.shape[cut] - 1, length)"),
    ("first block left out", "range(0, self.shape[cut],", "range(length, self.shape[cut],"),
    ("block too short", "slice(start, start + length)", "slice(start, start + max(1, length - 1))"),
    ("blocks overlap", "slice(start, start + length)", "slice(start, start + length + 1)"),
    ("one outer block", "in np.ndindex(*(self.shape[k] for k in before))", "in [(0,) * cut]"),
    ("negative axis", "(x.shape, index % x.ndim)", "(x.shape, abs(index))"),
    ("channel 0 of the jacobian", "[channel].reshape(-1)", "[0].reshape(-1)"),
    ("axis not kept", "layout.axis)\n", "1)\n"),
    # parameters
    ("gamma not copied", "else array.astype(_WIDE)", "else array.astype(_WIDE, copy=False)"),
    ("gamma None means 0", '"gamma", gamma, layout, 1', '"gamma", gamma, layout, 0'),
    ("beta None means 1", '"beta", beta, layout, 0', '"beta", beta, layout, 1'),
    (
        "gamma_dot None means 1",
        '"gamma_dot", gamma_dot, layout, 0',
        '"gamma_dot", gamma_dot, layout, 1',
    ),
    ("beta_dot None means 1", '"beta_dot", beta_dot, layout, 0', '"beta_dot", beta_dot, layout, 1'),
    ("x_dot None means x²", "_zero(cache.x)", "np.square(cache.x)"),
    ("eps fixed", "return float(value)", "return 1e-5"),
    ("eps at least 1e-12", "return float(value)", "return max(float(value), 1e-12)"),
    ("default eps", "eps: float = 1e-5", "eps: float = 1e-3"),
    ("default axis", "axis: int = 1,", "axis: int = -1,"),
    # out and aliasing
    ("x not copied", "x = x.copy()", "pass"),
    ("out ignored", "    return out\n", "    return np.empty(shape, dtype)\n"),
    (
        "any overlap allowed",
        "return bool(np.shares_memory",
        "return False and bool(np.shares_memory",
    ),
    (
        "bounds for overlap",
        "shares_memory(first, second, _WORK)",
        "may_share_memory(first, second)",
    ),
    ("no memory shared with x", "apart=[cache.x]", "apart=[]"),
    ("no memory shared with gamma", "apart=inputs", "apart=[]"),
    ("results may overlap", "[*apart, replaces, *results]", "[*apart, replaces]"),
    ("dy in a parameter's out", "[*apart, replaces, *results]", "[*apart, *results]"),
    (
        "same start is same memory",
        "first.ctypes.data == second.ctypes.data\n        and",
        "first.ctypes.data == second.ctypes.data\n        or",
    ),
    # results
    ("gradients swapped on storing", "dgamma[...] = wide_dgamma", "dgamma[...] = wide_dbeta"),
    ("gradients swapped", "return dx, dgamma, dbeta", "return dx, dbeta, dgamma"),
    ("statistics swapped", "var, inv_std = _forward", "inv_std, var = _forward"),
    ("float64 result", "dx.astype(dtype)", "dx"),
    ("float64 result", "dgamma.reshape(one).astype(dtype)", "dgamma.reshape(one)"),
    ("float64 result", ".astype(cache.x.dtype)", ""),
    ("shape (1, C)", "dbeta.reshape(one).astype(dtype)", "dbeta.reshape(1, -1).astype(dtype)"),
    ("cache holds a copy", "return y, Cache(x,", "return y, Cache(x.copy(),"),
    ("cache holds y", "return y, Cache(x,", "return y, Cache(y,"),
)


def _of_text(source: str) -> Iterator[Mutant]:
    """Each rewrite at each place where its text occurs."""
    for name, old, new in (*REWRITES, *OTHER_REWRITES):
        start = source.find(old)
        while start >= 0:
            line = source.count("\n", 0, start) + 1
            yield Mutant(name, line, source[:start] + new + source[start + len(old) :])
            start = source.find(old, start + 1)
