"""One reading of the data by compiled functions: a formula, two loops that call it, and a choice.

The formulas of one element are a function of their own.  Two loops call it, along the rows of an
array and along runs of one channel, and a fourth function takes for each array the loop that suits
its shape.  Data are seen as (before, channels, after).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.backends.numpy_cores import assignments, name_of
from codegen.backends.python_code import code
from codegen.backends.python_lines import WIDTH, call, one_a_line, signature, statement
from codegen.ir import GroupPass, MapPass, Pass, ReducePass
from codegen.names import code_name
from derive.expr import Axis, free_axes, sizes_in, variables


@dataclass(frozen=True)
class Reading:
    """One pass over memory.

    ``values`` are those of each channel that it takes, ``made`` the sums or the results.
    """

    name: str
    step: ReducePass | MapPass
    data: tuple[str, ...]
    values: tuple[str, ...]
    made: tuple[str, ...]

    @property
    def sums(self) -> bool:
        return isinstance(self.step, ReducePass)

    @property
    def first(self) -> str:
        """What there is one value of for each channel that is read."""
        return (*self.values, *(self.made if self.sums else ()))[0]

    @property
    def element(self) -> str:
        return f"{self.name}_{'terms' if self.sums else 'element'}"


def readings(kernel: str, steps: Sequence[Pass], full: frozenset[Axis]) -> list[Reading]:
    """Every pass over memory, with a name of its own."""
    found: list[Reading] = []
    for step in steps:
        if isinstance(step, GroupPass):
            continue
        kind = "sums" if isinstance(step, ReducePass) else "map"
        before = sum(one.name.startswith(f"_{kernel}_{kind}") for one in found)
        name = f"_{kernel}_{kind}" + (f"_{before + 1}" if before else "")
        found.append(reading(name, step, full))
    return found


def reading(name: str, step: ReducePass | MapPass, full: frozenset[Axis]) -> Reading:
    made = step.sums if isinstance(step, ReducePass) else step.results
    exprs = [a.expr for a in (*step.local, *made)]
    own = {a.target for a in step.local}
    read = sorted({v for expr in exprs for v in variables(expr)} - own, key=lambda v: v.name)
    sizes = {size for expr in exprs for size in sizes_in(expr)}
    return Reading(
        name,
        step,
        tuple(code_name(v) for v in read if free_axes(v) == full),
        (*(code_name(v) for v in read if free_axes(v) != full), *sorted(sizes)),
        tuple(code_name(a.target) for a in made),
    )


def functions(reading: Reading) -> tuple[str, ...]:
    """The formula, the loops and the choice of one reading."""
    return element(reading), _along_rows(reading), _along_runs(reading), _whole(reading)


def element(reading: Reading) -> str:
    """The formulas of one element: what of a reading is mathematics."""
    step = reading.step
    parameters = [f"{name}: Any" for name in (*reading.data, *reading.values)]
    what = "What one element adds to each of the sums" if reading.sums else "One element"
    lines = ["@_compiled", signature(reading.element, parameters, "Any")]
    lines.append(f'    """{what}."""')
    lines += assignments(step.local, name_of)
    if isinstance(step, ReducePass):
        made = ", ".join(code(a.expr.body, name_of) for a in step.sums)
        return "\n".join([*lines, f"    return {made}"])
    if len(step.results) == 1:
        (result,) = step.results
        return "\n".join(
            [*lines, *statement(f"return {code(result.expr, name_of)}", result.note, 4)]
        )
    lines += assignments(step.results, name_of)
    return "\n".join([*lines, f"    return {', '.join(reading.made)}"])


def _along_rows(reading: Reading) -> str:
    """The loop over rows (i), whose elements (k) belong to one channel or another, with a few rows
    (r) at once, from as many parts of the data."""
    first = reading.data[0]
    lines = [
        *_head(reading, "rows", "channels side by side in rows"),
        f"    for i in range({first}.shape[1]):",
        f"        for k in range({reading.first}.size):",
        *(f"            {value}_k = {value}[k]" for value in reading.values),
    ]
    if reading.sums:
        lines += [f"            {made}_k = 0" for made in reading.made]
    lines.append("            for r in range(len(rows)):")
    lines += _call(reading, "r, i, k", [f"{value}_k" for value in reading.values], 16)
    lines += _each_made(reading, "k", "r, i, k")
    if reading.sums:
        lines += [f"            {made}[k] += {made}_k" for made in reading.made]
    return "\n".join(lines)


def _each_made(reading: Reading, total: str, index: str) -> list[str]:
    """What one element gives: added to the totals, or stored."""
    if reading.sums:
        return [f"                {made}_{total} += {one}" for made, one in each(reading)]
    return [
        f"                {made}[{index}] = _store({one}, {made})" for made, one in each(reading)
    ]


def _along_runs(reading: Reading) -> str:
    """The loop over runs (i, c) of one channel (c), and along each (s)."""
    lines = _head(reading, "runs", "channel by channel in runs")
    first = reading.data[0]
    lines += [
        f"    for i in range({first}.shape[0]):",
        f"        for c in range({reading.first}.size):",
    ]
    lines += [f"            {value}_c = {value}[c]" for value in reading.values]
    if reading.sums:
        lines += [f"            {made}_run = 0" for made in reading.made]
    lines.append(f"            for s in range({first}.shape[2]):")
    lines += _call(reading, "i, c, s", [f"{value}_c" for value in reading.values], 16)
    lines += _each_made(reading, "run", "i, c, s")
    if reading.sums:
        lines += [f"            {made}[c] += {made}_run" for made in reading.made]
    return "\n".join(lines)


def _whole(reading: Reading) -> str:
    """What takes the loop that suits the data; along rows, for as many rows as are taken whole."""
    data, values, made = reading.data, reading.values, reading.made
    several = not reading.sums and len(data) + len(made) > 2
    rows = [f"{name}[:bulk].reshape(shape)" for name in data]
    spread = [f"_side_by_side({value}, run, lanes)" for value in values]
    own = [f"{total}_row" for total in made] if reading.sums else []
    results = own or [f"{name}[:bulk].reshape(shape)" for name in made]
    rest = [f"{name}[bulk:]" for name in data]
    left = list(made) if reading.sums else [f"{name}[bulk:]" for name in made]
    lines = _head(reading, "", "along rows or runs")
    if several:
        lines.append("    rows = rows[::2]  # of many arrays not so many rows at once")
    lines += [
        f"    run = {data[0]}.shape[2]",
        f"    bulk, shape = _by_rows({data[0]}.shape, len(rows))",
        "    if bulk:",
        f"        lanes = shape[2] // {data[0]}.shape[1] * {reading.first}.size",
        *(f"        {total} = np.zeros(lanes, _WIDE)" for total in own),
        call(f"{reading.name}_rows", ["rows", *rows, *spread, *results], 8),
        *(f"        _add_up({row}, run, {total})" for row, total in zip(own, made, strict=False)),
        call(f"{reading.name}_runs", [*rest, *values, *left], 4),
    ]
    return "\n".join(lines)


def _head(reading: Reading, loop: str, way: str) -> list[str]:
    arrays = [f"{name}: Array" for name in (*reading.data, *reading.values, *reading.made)]
    parameters = arrays if loop == "runs" else ["rows: Any", *arrays]
    made = "sums over the batch" if reading.sums else "the result"
    name = f"{reading.name}_{loop}" if loop else reading.name
    return [
        "@_in_any_order" if reading.sums and loop == "runs" else "@_compiled",
        signature(name, parameters, "None"),
        f'    """One reading of the data: {made}, {way}."""',
    ]


def _call(reading: Reading, index: str, values: Sequence[str], indent: int) -> list[str]:
    data = [f"_load({name}[{index}])" for name in reading.data]
    if not reading.sums and values:
        data = [f"_load_as({values[0]}, {name}[{index}])" for name in reading.data]
    return call(f"made = {reading.element}", [*data, *values], indent).split("\n")


def each(reading: Reading) -> list[tuple[str, str]]:
    """What is made, each with where it stands in what an element's formulas return."""
    if len(reading.made) == 1:
        return [(reading.made[0], "made")]
    return [(name, f"made[{k}]") for k, name in enumerate(reading.made)]


def argument(names: Sequence[str]) -> str:
    """A tuple as an argument, each name on its own line where they are many."""
    text = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    return text if len(text) <= WIDTH - 16 else f"(\n{one_a_line(names, 12)}        )"
