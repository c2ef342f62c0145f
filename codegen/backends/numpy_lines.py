"""Cores of NumPy modules whose layers reduce rows, for kernels by lines: in float32 where it holds.

Three functions are printed of a :class:`codegen.lines.LineKernel`, beside those that compute in
float64 (:mod:`codegen.backends.numpy_rows`): one computes some whole rows in float32, or says that
it cannot; one goes over all rows and has such rows computed in float64; and where statistics are
found, one finds them in float64 alone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from sympy import Add, Expr, Mul

from codegen.backends.numpy_cores import name_of, sizes
from codegen.backends.numpy_row_pieces import row_core
from codegen.backends.numpy_rows import RETURNS
from codegen.backends.python_code import code
from codegen.backends.python_lines import WIDTH, call, one_a_line, signature, statement, tuple_of
from codegen.ir import Assign, Program
from codegen.lines import LineKernel
from codegen.names import CENTRE, SHIFTED, code_name
from codegen.pipeline import Kernel
from derive.expr import Axis, SumOver, Var, free_axes, variables


def line_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str, *, kept: int) -> str:
    """A kernel, in float32 where that holds; it writes into ``outputs`` and returns its other
    results."""
    if not isinstance(kernel, LineKernel):
        return row_core(kernel, data, outputs, about, kept=kept)
    core = _Core(kernel, data, outputs, about)
    wide = replace(kernel.wide, name=f"{kernel.name}_wide")
    functions = [core.over_all(), core.of_rows(), row_core(wide, data, outputs, about, kept=kept)]
    if kernel.finds:
        functions.append(row_core(kernel.statistics, data, (), "The statistics", kept=kept))
    else:
        functions.append(core.again())
    return "\n\n\n".join(functions)


def statistics_in_float64(kernel: LineKernel, used: Container[str], whole: str) -> str:
    """The function that makes what is ``used`` of a cache more precise."""
    given, results = kernel.statistics.program.given, kernel.statistics.program.results
    kept = [name for v in results if (name := code_name(v)) in used]
    own = [name if (name := code_name(v)) in kept else "_" for v in results]
    x, *others = (f"cache.{code_name(v)}" for v in given)
    about = "The cache with statistics from float64 alone, for functions in float64."
    return "\n".join(
        [
            "def _in_float64(cache: Cache, layout: _Layout) -> Cache:",
            f'    """{about}"""',
            "    if not _is_narrow(layout, cache.x):",
            "        return cache",
            call(f"{tuple_of(own)} = _statistics", [whole.format(x), *others, "layout"], 4),
            call("return cache._replace", [f"{name}={name}" for name in kept], 4),
        ]
    )


class _Core:
    """The text of one core."""

    def __init__(self, kernel: LineKernel, data: Var, outputs: Sequence[str], about: str) -> None:
        self.kernel, self.program, self.about = kernel, kernel.program, about
        self.data, self.outputs = data, outputs
        self.full, self.line = frozenset(data.axes), frozenset(kernel.line)
        given = self.program.given
        self.arrays = [code_name(v) for v in given if free_axes(v) == self.full]
        self.results = [v for v in self.program.results if code_name(v) not in outputs]
        self.totals = [a.target for a in kernel.totals]
        self.name = f"_{kernel.name}"
        self.centred = any(v.label == CENTRE for v in self.program.results)

    # --- All rows ---------------------------------------------------------------------------------

    def over_all(self) -> str:
        """The function that goes over all rows."""
        kernel, given = self.kernel, self.program.given
        parameters = [*(f"{code_name(v)}: Any" for v in given), "layout: _Layout"]
        parameters += [f"{o}: Array" for o in self.outputs]
        own = [self._own(v, self.arrays) for v in given]
        wide = self._wide("own =", "rows", 12) if kernel.finds else self._again("own =", "rows", 12)
        return "\n".join(
            [
                signature(f"_{kernel.name}", parameters, RETURNS),
                f'    """{self.about}, in float32 and, where that loses digits, in float64."""',
                f"    if not _is_narrow(layout, {self.arrays[0]}):",
                self._wide("return", "", 8),
                *self._not_narrow(),
                "    found = []",
                "    for rows in _rows_of(layout):",
                call(f"own = {self.name}_rows", [*own, "rows", *self.outputs], 8),
                "        if own is None:",
                wide,
                *(["            own = _in_two(*own)"] if self.centred else []),
                "        found.append(own)",
                *self._joined(),
            ]
        )

    def _not_narrow(self) -> list[str]:
        """Where statistics are in float32, but the rest cannot be."""
        if self.kernel.finds:
            return []
        others = ", ".join(self.arrays[1:])
        replaced = f"np.may_share_memory({self.outputs[0]}, {others})"
        return [
            f"    if not _is_narrow(layout, {others}) or {replaced}:",
            self._again("return", "", 8),
        ]

    def _joined(self) -> list[str]:
        """What some rows gave, in the place of theirs or added to that of others."""
        if self.kernel.finds:
            return ["    return _laid_out(layout, found)"]
        results = [code_name(v) for v in self.results]
        every = [*results, *map(code_name, self.totals)]
        pairs = [_pair(c.left, c.terms) for c in self.kernel.checks if c.of_all]
        return [
            f"    {tuple_of(every)} = _added_up(layout, found, {len(every)})",
            call("if not _is_left", pairs, 4) + ":",
            self._again("return", "", 8),
            f"    return {tuple_of(results)}",
        ]

    def _wide(self, start: str, rows: str, indent: int) -> str:
        """A call for all rows, or some, in float64."""
        return self._call(f"{start} {self.name}_wide", self.kernel.wide.program, rows, indent)

    def _again(self, start: str, rows: str, indent: int) -> str:
        """The same, where statistics have to be found again."""
        return self._call(f"{start} {self.name}_again", self._afresh(), rows, indent)

    def _call(self, function: str, program: Program, rows: str, indent: int) -> str:
        given = [self._own(v) if rows else code_name(v) for v in program.given]
        outputs = [f"{o}[rows.at.index]" if rows else o for o in self.outputs]
        layout = "rows.layout" if rows else "layout"
        return call(function, [*given, layout, *outputs], indent)

    def _own(self, var: Var, whole: Sequence[str] = ()) -> str:
        """Some rows' own part of a quantity, unless that is wanted whole."""
        name = code_name(var)
        if name in whole or not var.axes:
            return name
        of_rows = not self.kernel.rows - free_axes(var)
        return f"{name}[rows.at.{'index' if of_rows else 'part'}]"

    # --- In float64 -------------------------------------------------------------------------------

    def _afresh(self) -> Program:
        """The program in float64 without the statistics that it finds."""
        found = set(self.kernel.statistics.program.results)
        wide, more = self.kernel.wide.program, self.kernel.statistics.program.given
        given = (v for v in (*wide.given, *more) if v not in found)
        return replace(wide, given=tuple(dict.fromkeys(given)))

    def again(self) -> str:
        """The function that finds statistics in float64 and computes all from them."""
        statistics, wide = self.kernel.statistics.program, self.kernel.wide.program
        parameters = [*(f"{code_name(v)}: Any" for v in self._afresh().given), "layout: _Layout"]
        parameters += [f"{o}: Array" for o in self.outputs]
        targets = [code_name(v) if v in wide.given else "_" for v in statistics.results]
        known = [code_name(v) for v in statistics.given]
        return "\n".join(
            [
                signature(f"{self.name}_again", parameters, RETURNS),
                f'    """{self.about} in float64, with statistics from float64 alone."""',
                call(f"{tuple_of(targets)} = _statistics", [*known, "layout"], 4),
                self._call(f"return {self.name}_wide", wide, "", 4),
            ]
        )

    # --- Some rows --------------------------------------------------------------------------------

    def of_rows(self) -> str:
        """The function that computes some rows."""
        given = self.program.given
        parameters = [*(f"{code_name(v)}: Any" for v in given), "rows: _Rows"]
        parameters += [f"{o}: Array" for o in self.outputs]
        lines = [
            signature(f"{self.name}_rows", parameters, f"{RETURNS} | None"),
            f'    """{self.about}, of some rows in float32; None where that does not hold."""',
        ]
        lines += [f"    {size} = rows.layout.m" for size in sizes(self.program.assigns)]
        lines += [f"    {name}_block = rows.read({name})" for name in self.arrays]
        if self.centred:
            lines.append(f"    mean = rows.centre({self.arrays[0]}_block)")
        late = [a for a in self.program.assigns if self._is_map(a)]
        for a in (a for a in self.program.assigns if a not in late):
            lines += self._statement(a)
        for a in self.kernel.totals:
            lines += self._statement(a)
        lines += self._holds()
        for a in late:
            lines += self._map(a)
        results = [code_name(v) for v in (*self.results, *self.totals)]
        return "\n".join([*lines, f"    return {tuple_of(results)}"])

    def _is_map(self, a: Assign) -> bool:
        """Whether an assignment makes an array that a result is, or is made of."""
        if free_axes(a.target) != self.full or a.target.label == SHIFTED:
            return False
        return a.target.role == "value" or a.target in self.program.results

    def _statement(self, a: Assign) -> list[str]:
        name, place = code_name(a.target), f"rows.place({self.outputs[0]})"
        if a.target.label == SHIFTED:
            into = f", {place}" if self.kernel.finds else ""
            text = f"rows.less({self.arrays[0]}_block, mean{into})"
        elif free_axes(a.target) == self.full:
            along, array = sorted(variables(a.expr), key=lambda v: len(free_axes(v)))
            text = f"_times_along(rows, {self._array(array)}, {code_name(along)}, {place})"
        else:
            text = code(a.expr, self._name)
        return statement(f"{name} = {text}", a.note, 4)

    def _name(self, node: Expr) -> str:
        """Names, and the three kinds of sums."""
        if not isinstance(node, SumOver):
            return name_of(node)
        axes = frozenset(node.axes)
        if axes == self.line and free_axes(node.body) == self.full:
            return f"rows.total({', '.join(map(self._array, _factors(node.body)))})"
        if free_axes(node.body) == self.full:
            return " + ".join(map(self._weighted, Add.make_args(node.body)))
        way = "over_rows" if axes & self.kernel.rows else "total"
        return f"rows.layout.{way}({code(node.body, self._name)})"

    def _weighted(self, term: Expr) -> str:
        arrays = [v for v in _factors(term) if free_axes(v) == self.full]
        weights = [code_name(v) for v in _factors(term) if v not in arrays] or ["None"]
        return f"_over_rows(rows, {', '.join([*weights, *map(self._array, arrays)])})"

    def _holds(self) -> list[str]:
        values = [code_name(v) for v in self.kernel.finite]
        pairs = [self._row_pair(c.left, c.terms) for c in self.kernel.checks if not c.of_all]
        lists = [_list(values), *([_list(pairs)] if pairs else [])]
        return [call("if not rows.holds", lists, 4) + ":", "        return None"]

    def _row_pair(self, left: Expr, terms: Expr) -> str:
        return f"({code(left, self._name)}, {code(terms, self._name)})"

    def _map(self, a: Assign) -> list[str]:
        """Σ factor·array + offset, one term after another.

        What a result is made of is made in its place, and the last product is.
        """
        result, place = code_name(a.target), f"rows.place({self.outputs[0]})"
        terms = [_term(term, self.full) for term in Add.make_args(a.expr)]
        *_, last = (term for term in terms if term[1])
        lines, made = [], ""
        for factor, arrays in terms:
            along = free_axes(factor) & self.line
            plus = "_plus_along(rows, " if along else "rows.plus("
            times = "_times_along(rows, " if along else "rows.times("
            if not arrays:
                lines.append(f"{plus}{made}, {code_name(factor)})")
                continue
            array = self._array(arrays[0])
            into = place if (factor, arrays) == last else f"rows.over({array})"
            scaled = f"{code_name(arrays[0]).removesuffix('_shifted')}_scaled"
            lines.append(f"{scaled} = {times}{array}, {code_name(factor)}, {into})")
            if made:
                lines.append(f"{scaled} += {made}")
            made = scaled
        if a.target in self.program.results:
            lines.append(f"rows.store({result}, {made})")
        else:
            lines.append(f"{result} = {made}")
        return [f"    {line}" for line in lines]

    def _array(self, var: Var) -> str:
        return code_name(var) + ("_block" if var in self.program.given else "")


def _pair(left: Expr, terms: Expr) -> str:
    return f"({code(left, name_of)}, {code(terms, name_of)})"


def _list(entries: Sequence[str]) -> str:
    """A list as an argument of a call, with each entry on its own line where they are many."""
    text = f"[{', '.join(entries)}]"
    return text if len(text) <= WIDTH - 9 else f"[\n{one_a_line(entries, 12)}        ]"


def _term(term: Expr, full: frozenset[Axis]) -> tuple[Var, tuple[Var, ...]]:
    """A factor, and the array that it multiplies, if any."""
    factors = _factors(term)
    (factor,) = (v for v in factors if free_axes(v) != full)
    return factor, tuple(v for v in factors if v != factor)


def _factors(product: Expr) -> list[Var]:
    """The variables of a product, a square twice."""
    found: list[Var] = []
    for factor in Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        found += [base] * int(exponent)
    return found
