"""Cores of NumPy modules whose layers reduce the batch, for kernels in separate terms.

From the passes of a :class:`codegen.linear.LinearKernel` two functions are printed: one goes over
the parts of the data, the other computes a part, with a loop over blocks for each reading.  Where
the kernel has checks the part is first computed in float32, and again in float64 if they fail; the
text is the same for both.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from sympy import Add, Expr, Mul, Pow

from codegen.backends.numpy_cores import name_of, sizes
from codegen.backends.python_code import code
from codegen.backends.python_lines import WIDTH, call, one_a_line, signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, MapPass, Pass, ReducePass
from codegen.linear import LinearKernel
from codegen.names import code_name
from derive.expr import Axis, Var, free_axes, variables

RETURNS = "tuple[Array, ...]"


def block_core(kernel: LinearKernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A kernel by parts and blocks; it writes into ``outputs`` and returns its other results."""
    part = _Part(kernel, data, outputs, about)
    functions = [_over_parts(kernel, data, outputs, about), part.text()]
    if kernel.finds:
        functions.append(part.statistics())
    return "\n\n\n".join(functions)


def in_float64(kernel: LinearKernel, used: Container[str]) -> str:
    """The function that makes what is ``used`` of a cache more precise."""
    found = kernel.statistics
    assert found is not None, "what a batch is said to be"
    given, results = found.given, [code_name(v) for v in found.results]
    kept = [name for name in results if name in used]
    arguments = [*(f"cache.{code_name(v)}" for v in given), "part.in_float64()"]
    own = [f"{name}[part.own]" if name in kept else "_" for name in results]
    about = "The cache with statistics from float64 alone, for functions without a second try."
    return "\n".join(
        [
            "def _in_float64(cache: Cache, layout: _Layout) -> Cache:",
            f'    """{about}"""',
            *(f"    {name} = layout.zeros()" for name in kept),
            "    for part in _parts(layout):",
            call(f"{tuple_of(own)} = _statistics", arguments, 8),
            "    _spare.__dict__.clear()  # what follows takes room of its own",
            call("return cache._replace", [f"{name}={name}" for name in kept], 4),
        ]
    )


def _over_parts(kernel: LinearKernel, data: Var, outputs: Sequence[str], about: str) -> str:
    given, full = kernel.program.given, frozenset(data.axes)
    results = [name for v in kernel.program.results if (name := code_name(v)) not in outputs]
    parameters = [*(f"{code_name(v)}: Any" for v in given), "layout: _Layout"]
    lines = [
        signature(f"_{kernel.name}", [*parameters, *(f"{o}: Array" for o in outputs)], RETURNS),
        f'    """{about}, part by part."""',
        *(f"    {name} = layout.zeros()" for name in results),
        "    for part in _parts(layout):",
    ]
    of_part = [
        f"{code_name(v)}[part.own]" if v.axes and free_axes(v) != full else code_name(v)
        for v in given
    ]
    targets = f"{tuple_of([f'{name}[part.own]' for name in results])} = " if results else ""
    lines.append(call(f"{targets}_{kernel.name}_part", [*of_part, "part", *outputs], 8))
    return "\n".join([*lines, f"    return {tuple_of(results)}"])


class _Part:
    """The function that computes one part."""

    def __init__(self, kernel: LinearKernel, data: Var, outputs: Sequence[str], about: str) -> None:
        self.kernel, self.data, self.outputs, self.about = kernel, data, outputs, about
        self.full: frozenset[Axis] = frozenset(data.axes)
        self.rows: set[Var] = set()  # whose values have been laid along a row
        self.depth = 4
        self.told = _for_checks(kernel)  # and left out where there is nothing to check

    def text(self) -> str:
        """The function."""
        kernel = self.kernel
        results = [n for v in kernel.program.results if (n := code_name(v)) not in self.outputs]
        parameters = [f"{code_name(v)}: Any" for v in kernel.program.given]
        parameters += ["part: _Part | _Few", *(f"{name}: Array" for name in self.outputs)]
        lines = [
            signature(f"_{kernel.name}_part", parameters, RETURNS),
            f'    """{self.about}, of one part."""',
            *self._sizes(kernel.passes, "part"),
            *self._head(),
        ]
        for step in kernel.passes:
            if isinstance(step, MapPass):
                lines += [*self._tail(), *self._map(step)]
            else:
                lines += self._groups(step) if isinstance(step, GroupPass) else self._sums(step)
        return "\n".join([*lines, f"    return {tuple_of(results)}"])

    def statistics(self) -> str:
        """The function that finds the statistics of a part."""
        self.depth, self.rows = 4, set()
        found = self.kernel.statistics
        assert found is not None, "a batch is looked at"
        parameters = [*(f"{code_name(v)}: Any" for v in found.given), "work: _Work | _Few"]
        centre, *_ = results = [code_name(v) for v in found.results]
        lines = [
            signature("_statistics", parameters, RETURNS),
            '    """The statistics of one part, from data less a centre that is near the mean."""',
            *self._sizes(found.passes, "work.part"),
            self._line(f"{centre} = work.centre({code_name(self.data)})"),
        ]
        for step in found.passes:
            assert not isinstance(step, MapPass), "a result among the statistics"
            lines += self._groups(step) if isinstance(step, GroupPass) else self._sums(step)
        return "\n".join([*lines, f"    return {tuple_of(results)}"])

    def _sizes(self, passes: Sequence[Pass], of: str) -> list[str]:
        assigns = [a for step in passes if isinstance(step, GroupPass) for a in step.assigns]
        return [f"    {size} = {of}.m" for size in sizes(assigns)]

    # --- Which type -------------------------------------------------------------------------------

    def _head(self) -> list[str]:
        """The loop over types, and the statistics."""
        given, found = self.kernel.program.given, self.kernel.statistics
        lines = ["    work = part.in_float64()"]
        if self.kernel.checks:
            self.depth = 8
            arrays = ", ".join(code_name(v) for v in given if free_axes(v) == self.full)
            lines = [
                "    # In float32 and, if that does not hold, in float64.",
                f"    for work in part.works({arrays}):",
            ]
        if found is None:
            return lines
        names = [code_name(v) if v in given or self.kernel.finds else "_" for v in found.results]
        arguments = [*(code_name(v) for v in found.given), "work"]
        statistics = f"{tuple_of(names)} = _statistics({', '.join(arguments)})"
        if self.kernel.finds:
            lines.append(self._line(statistics))
        elif self.kernel.checks:
            lines += [self._line("if work.again:"), self._line(statistics, 4)]
        for centre, array in self.kernel.centres:
            chosen = f"{code_name(centre)} = work.centre_of_sums({code_name(array)})"
            lines.append(self._line(chosen))
        return lines

    def _tail(self) -> list[str]:
        """The end of the loop over types."""
        if not self.kernel.checks:
            return []
        lines = ["        if work.wide:", "            break"]
        if self.told:
            lines.append("        # What else tells whether float32 was wide enough.")
        for step in self.kernel.passes:
            if isinstance(step, ReducePass):
                names = [code_name(a.target) for a in step.sums if a.target in self.told]
                lines += [f"        {name} = work.per_channel({name})" for name in names]
            elif isinstance(step, GroupPass):
                lines += self._assigned(a for a in step.assigns if a.target in self.told)
        self.depth = 4
        each = [self._pair(c.left, c.terms) for c in self.kernel.checks if not c.of_all]
        of_all = [self._pair(c.left, c.terms) for c in self.kernel.checks if c.of_all]
        finite = [code_name(v) for v in self.kernel.finite]
        lists = [_list(finite), _list(each), *([_list(of_all)] if of_all else [])]
        return [*lines, call("if work.holds", lists, 8) + ":", "            break"]

    def _pair(self, left: Expr, terms: Expr) -> str:
        return f"({code(left, name_of)}, {code(terms, name_of)})"

    # --- Passes -----------------------------------------------------------------------------------

    def _groups(self, step: GroupPass) -> list[str]:
        own = [a for a in step.assigns if a.target not in self.told]
        return [self._line("# Once for each channel."), *self._assigned(own)] if own else []

    def _assigned(self, assigns: Iterable[Assign]) -> list[str]:
        lines = []
        for a in assigns:
            lines += statement(
                f"{code_name(a.target)} = {code(a.expr, name_of)}", a.note, self.depth
            )
        return lines

    def _sums(self, step: ReducePass) -> list[str]:
        """Sums of one array come before those of products, while it is in the cache."""
        names = [code_name(a.target) for a in step.sums]
        lines = [self._line("# One reading of the data: sums over the batch.")]
        lines += self._rows(step.local)
        lines += [self._line(f"{name} = work.zeros()") for name in names]
        lines += self._reads((*step.local, *step.sums))
        centred: set[Var] = set()
        for assign in sorted(step.sums, key=lambda a: len({*_factors(a.expr.body)})):
            read = {*_factors(assign.expr.body)} - centred
            lines += self._centred([a for a in step.local if a.target in read], {})
            if assign.target in self.told:
                lines.append(self._line("if not work.wide:", 4))
            lines.append(self._total(assign))
            centred |= read
        wanted = [code_name(a.target) for a in step.sums if a.target not in self.told]
        return [*lines, *(self._line(f"{name} = work.per_channel({name})") for name in wanted)]

    def _total(self, assign: Assign) -> str:
        arrays = [self._array(var) for var in _factors(assign.expr.body)]
        deeper = 8 if assign.target in self.told else 4
        sums = code_name(assign.target)
        return call(f"{sums} = block.plus", [sums, *arrays], self.depth + deeper)

    def _map(self, step: MapPass) -> list[str]:
        lines = [self._line("# One reading of the data: the result, rounded once as it is stored.")]
        lines += self._rows((*step.local, *step.results))
        lines += self._reads((*step.local, *step.results))
        places = {_last(a)[-1]: f"place({code_name(a.target)})" for a in step.results}
        lines += self._centred(step.local, places)
        for assign in step.results:
            lines += self._result(assign)
        return lines

    def _rows(self, assigns: Sequence[Assign]) -> list[str]:
        """What has one value for each channel and meets arrays, along a row; of the centre nothing
        if it is zero."""
        met = {v for a in assigns for v in variables(a.expr) if free_axes(v) != self.full}
        new = sorted(met - self.rows, key=lambda var: var.name)
        self.rows |= met
        rows = {v: "row_if_any" if v in self.kernel.subtracted else "row" for v in new}
        return [
            self._line(f"{code_name(v)}_row = work.{row}({code_name(v)})")
            for v, row in rows.items()
        ]

    def _reads(self, assigns: Sequence[Assign]) -> list[str]:
        """The loop over blocks, and what it reads."""
        made = {a.target for a in assigns}
        read = {v for a in assigns for v in variables(a.expr) if free_axes(v) == self.full} - made
        lines = [self._line("for block in work.blocks():")]
        lines += [
            self._line(f"{self._array(var)} = block.read({code_name(var)})", 4)
            for var in sorted(read, key=lambda var: var.name)
        ]
        return lines

    def _centred(self, assigns: Sequence[Assign], places: Mapping[Var, str]) -> list[str]:
        """Arrays less their centre, in scratch or in the place of a result."""
        lines = []
        for a in assigns:
            array, less = sorted(variables(a.expr), key=lambda v: free_axes(v) != self.full)
            assert set(a.expr.args) == {array, -less}, "more than a centre taken from an array"
            into = f", block.{places[a.target]}" if a.target in places else ""
            text = f"block.less({self._array(array)}, {code_name(less)}_row{into})"
            lines += statement(f"{code_name(a.target)} = {text}", a.note, self.depth + 4)
        return lines

    def _result(self, assign: Assign) -> list[str]:
        """Σ coefficient·array + offset, one term after another.

        The last product is made in the result's place: its array may be the one that the result
        replaces, and is not read again.
        """
        result = code_name(assign.target)
        made, last = "", _last(assign)
        lines: list[str] = []
        for row, *arrays in _terms(assign):
            operand = self._row(row)
            if arrays:
                array, scaled = self._array(*arrays), f"{_stem(*arrays)}_scaled"
                place = f"place({result})" if [row, *arrays] == last else f"over({array})"
                lines.append(
                    f"{scaled} = block.times({array}, {code_name(row)}_row, block.{place})"
                )
                made, operand = scaled, made
            if operand:
                lines.append(f"{made} += {operand}")
        return [self._line(line, 4) for line in (*lines, f"block.store({result}, {made})")]

    # --- Words ------------------------------------------------------------------------------------

    def _own(self, array: Var) -> bool:
        """Whether an array was made here, and may be written to."""
        return array not in self.kernel.program.given

    def _array(self, var: Var) -> str:
        return code_name(var) + ("" if self._own(var) else "_block")

    def _row(self, var: Var) -> str:
        return f"{code_name(var)}_row[block.columns]"

    def _line(self, text: str, deeper: int = 0) -> str:
        return " " * (self.depth + deeper) + text


def _for_checks(kernel: LinearKernel) -> set[Var]:
    """What no result is computed from, but what tells whether a type was wide enough."""
    wanted = set(kernel.program.results)
    told: set[Var] = set()
    for step in reversed(kernel.passes):
        if isinstance(step, MapPass):
            wanted |= {v for a in (*step.local, *step.results) for v in variables(a.expr)}
            continue
        for assign in reversed(step.assigns if isinstance(step, GroupPass) else step.sums):
            if assign.target in wanted:
                wanted |= set(variables(assign.expr))
            else:
                told.add(assign.target)
    return told


def _list(entries: Sequence[str]) -> str:
    """A list as an argument of a call, with each entry on its own line where they are many."""
    text = f"[{', '.join(entries)}]"
    return text if len(text) <= WIDTH - 13 else f"[\n{one_a_line(entries, 16)}            ]"


def _terms(assign: Assign) -> list[list[Var]]:
    """The terms of a result: each a factor and, but for an offset, an array."""
    arrays = free_axes(assign.target)
    terms = [_factors(term) for term in Add.make_args(assign.expr)]
    return [sorted(term, key=lambda var: free_axes(var) == arrays) for term in terms]


def _last(assign: Assign) -> list[Var]:
    """The last product among them."""
    *_, last = (term for term in _terms(assign) if len(term) > 1)
    return last


def _stem(array: Var) -> str:
    return code_name(array).removesuffix("_shifted")


def _factors(product: Expr) -> list[Var]:
    """The variables of a product, a square twice."""
    found: list[Var] = []
    for factor in Mul.make_args(product):
        base, exponent = (factor.base, factor.exp) if isinstance(factor, Pow) else (factor, 1)
        found += [base] * int(exponent)
    return found
