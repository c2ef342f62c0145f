"""Cores of NumPy modules whose layers reduce rows, for kernels by lines: in float32 where it holds.

Three functions are printed of a :class:`codegen.lines.LineKernel`, beside those that compute in
float64 (:mod:`codegen.backends.numpy_rows`): one computes some whole rows in float32, or says that
it cannot; one goes over all rows and has such rows computed in float64; and where statistics are
found, one finds them in float64 alone.  Any kernel that takes statistics has one that finds them so
and computes all from them (:func:`again_core`), some rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace

from sympy import Add, Expr, Mul

from codegen.backends.numpy_cores import name_of, sizes
from codegen.backends.numpy_row_pieces import row_core
from codegen.backends.numpy_rows import RETURNS
from codegen.backends.python_code import code
from codegen.backends.python_lines import WIDTH, call, one_a_line, signature, statement, tuple_of
from codegen.ir import Assign
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
        functions.append(again_core(kernel.name, wide, kernel.statistics, outputs, about))
    return "\n\n\n".join(functions)


def afresh(kernel: Kernel, statistics: Kernel) -> tuple[Var, ...]:
    """What a kernel takes if it finds the statistics itself."""
    found = set(statistics.program.results)
    given = (v for v in (*kernel.program.given, *statistics.program.given) if v not in found)
    return tuple(dict.fromkeys(given))


def again_core(
    name: str, kernel: Kernel, statistics: Kernel, outputs: Sequence[str], about: str
) -> str:
    """The function that finds statistics in float64 and computes all from them."""
    given, results = afresh(kernel, statistics), kernel.program.results
    rows = frozenset.union(*(free_axes(v) for v in statistics.program.results))
    learnt = [code_name(v) for v in results if code_name(v) not in outputs]
    parameters = [*(f"{code_name(v)}: Any" for v in given), "layout: _Layout"]
    parameters += [f"{o}: Array" for o in (*outputs, *learnt)]
    found = statistics.program.results
    targets = [code_name(v) if v in kernel.program.given else "_" for v in found]
    known = [_own(v, rows) for v in statistics.program.given]
    arguments = [code_name(v) if v in found else _own(v, rows) for v in kernel.program.given]
    arguments += ["rows.layout", *(f"{o}[rows.index]" for o in outputs), *["*own"] * bool(learnt)]
    whole = [*(code_name(v) for v in kernel.program.given), "layout", *outputs, *learnt]
    all_known = [*(code_name(v) for v in statistics.program.given), "layout"]
    lines = [
        signature(f"_{name}_again", parameters, RETURNS),
        f'    """{about} in float64, with statistics from float64 alone, some rows at a time."""',
        "    if layout.m > _ROW:  # rows are few",
        call(f"{tuple_of(targets)} = _statistics", all_known, 8),
        call(f"return _{kernel.name}", whole, 8),
        f"    for {'part, some' if learnt else '_, some'} in _wide_parts(layout):",
    ]
    if learnt:
        lines.append(f"        sums = {tuple_of(['layout.zeros(part)' for _ in learnt])}")
    lines += [
        "        for rows in some:",
        call(f"{tuple_of(targets)} = _statistics", [*known, "rows.layout"], 12),
        *([f"            own = {tuple_of(['rows.zeros()' for _ in learnt])}"] if learnt else []),
        call(f"_{kernel.name}", arguments, 12),
    ]
    if learnt:
        lines += ["            _add(sums, own)", f"        {tuple_of(_of_part(learnt))} = sums"]
    return "\n".join([*lines, "    return ()"])


def with_again(
    core: str, kernel: Kernel, forward: Kernel, outputs: Sequence[str], about: str
) -> str:
    """A core in float64, with that function where statistics come from float32."""
    if not isinstance(forward, LineKernel):
        return core
    again = again_core(kernel.name, kernel, forward.statistics, outputs, about)
    return f"{core}\n\n\n{again}"


def call_or_again(
    kernel: Kernel,
    statistics: Kernel,
    argument: Callable[[Var], str],
    outputs: Sequence[str],
    x: str,
) -> str:
    """A call of a kernel in float64, or of that function if the statistics of x are narrow."""
    again = [*map(argument, afresh(kernel, statistics)), *outputs]
    given = [*map(argument, kernel.program.given), *outputs]
    return "\n".join(
        [
            f"        if _is_narrow(layout, {x}):",
            call(f"_{kernel.name}_again", again, 12),
            "        else:",
            call(f"_{kernel.name}", given, 12),
        ]
    )


def _own(var: Var, rows: frozenset[Axis], whole: Container[str] = ()) -> str:
    """Some rows' own part of a quantity, unless that is wanted whole."""
    name = code_name(var)
    if name in whole or not var.axes:
        return name
    return f"{name}[rows.{'index' if rows <= free_axes(var) else 'part'}]"


def _of_part(names: Sequence[str]) -> list[str]:
    return [f"{name}[part]" for name in names]


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
        self.gradients = [] if kernel.finds else [code_name(v) for v in self.results]
        self.totals = [a.target for a in kernel.totals]
        self.name = f"_{kernel.name}"
        self.centred = any(v.label == CENTRE for v in self.program.results)

    # --- All rows ---------------------------------------------------------------------------------

    def over_all(self) -> str:
        """The function that goes over all rows."""
        kernel, given = self.kernel, self.program.given
        parameters = [*(f"{code_name(v)}: Any" for v in given), "layout: _Layout"]
        parameters += [f"{o}: Array" for o in (*self.outputs, *self.gradients)]
        wide = [code_name(v) for v in kernel.wide.program.given]
        wide += ["layout", *self.outputs, *self.gradients]
        return "\n".join(
            [
                signature(f"_{kernel.name}", parameters, RETURNS),
                f'    """{self.about}, in float32 and, where that loses digits, in float64."""',
                f"    if not _is_narrow(layout, {self.arrays[0]}):",
                call(f"return {self.name}_wide", wide, 8),
                *(self._find() if kernel.finds else self._add_up()),
            ]
        )

    def _find(self) -> list[str]:
        """The lines that find what each row has one value of."""
        wide = [_own(v, self.kernel.rows) for v in self.kernel.wide.program.given]
        wide += ["rows.layout", *(f"{o}[rows.index]" for o in self.outputs)]
        return [
            "    found: tuple[Array, ...] = ()",
            "    for rows in _rows_of(layout):",
            *self._of_rows(8),
            call(f"own = {self.name}_wide", wide, 12),
            *(["            own = _in_two(*own)"] if self.centred else []),
            "        found = _laid_out(layout, found, rows, own)",
            "    return found",
        ]

    def _add_up(self) -> list[str]:
        """The lines that add up gradients of parameters."""
        others, gradients = ", ".join(self.arrays[1:]), self.gradients
        replaced = f"np.may_share_memory({self.outputs[0]}, {others})"
        every = [*gradients, *map(code_name, self.totals)]
        unpacked = [*(f"{name}_part" for name in gradients), *every[len(gradients) :]]
        pairs = [self._pair(c.left, c.terms) for c in self.kernel.checks if c.of_all]
        return [
            "    many = layout.m > _ADDED * layout.alike",
            f"    if many or not _is_narrow(layout, {others}) or {replaced}:",
            self._again("return ", "", "layout", gradients, 8),
            "    for part, some in _parts(layout):",
            f"        sums = {tuple_of(['layout.zeros(part)' for _ in every])}",
            "        for rows in some:",
            *self._of_rows(12),
            f"                own = {tuple_of(['rows.zeros()' for _ in gradients])}",
            self._again("", "rows", "rows.layout", ["*own"], 16),
            "            _add(sums, own)",
            f"        {tuple_of(unpacked)} = sums",
            call("        if _is_left", pairs, 0) + ":",
            f"            {tuple_of(_of_part(gradients))} = {tuple_of(unpacked[: len(gradients)])}",
            "        else:",
            self._again("", "part", "layout.of(part)", _of_part(gradients), 12),
            "    return ()",
        ]

    def _again(
        self, start: str, where: str, layout: str, gradients: Sequence[str], indent: int
    ) -> str:
        """A call for some rows, a part or all, where statistics have to be found again."""

        def at(var: Var) -> str:
            if where == "rows":
                return _own(var, self.kernel.rows)
            return f"{code_name(var)}[part]" if where and var.axes else code_name(var)

        index = {"rows": "[rows.index]", "part": "[part]"}.get(where, "")
        arguments = [*map(at, afresh(self.kernel.wide, self.kernel.statistics)), layout]
        arguments += [*(f"{o}{index}" for o in self.outputs), *gradients]
        return call(f"{start}{self.name}_again", arguments, indent)

    def _of_rows(self, indent: int) -> list[str]:
        """The call for some rows, and the head of what is done where that is not enough."""
        own = [_own(v, self.kernel.rows, self.arrays) for v in self.program.given]
        return [
            call(f"own = {self.name}_rows", [*own, "rows", *self.outputs], indent),
            f"{' ' * indent}if own is None:",
        ]

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

    def _pair(self, left: Expr, terms: Expr) -> str:
        def of_part(node: Expr) -> str:
            return name_of(node) + ("_part" if name_of(node) in self.gradients else "")

        return f"({code(left, of_part)}, {code(terms, of_part)})"

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
