"""The cores of a numba module: what each element costs, compiled, and the passes around it.

A pass over memory is printed as three small compiled functions: the formulas of one element, and
two loops that call them, along the rows of an array and along runs of one channel.  The core itself
is plain Python: one call for each reading of the data, and NumPy for what there is once for each
channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Pow, Symbol

from codegen.backends.numpy_cores import READINGS, assignments, name_of, size_of, sizes
from codegen.backends.python_code import code
from codegen.backends.python_lines import (
    WIDTH,
    call,
    one_a_line,
    signature,
    statement,
    tuple_of,
)
from codegen.ir import Assign, GroupPass, MapPass, Pass, Program, ReducePass
from codegen.names import CENTRE, CODE_NAMES, REST, SHIFTED, code_name
from codegen.pipeline import Kernel
from codegen.schedule import schedule
from derive.expr import Axis, SumOver, Var, free_axes, variables


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
    def element(self) -> str:
        return f"{self.name}_{'terms' if self.sums else 'element'}"


@dataclass(frozen=True)
class Once:
    """What is computed once for each channel: from which ``values``, and what of it is ``made``
    for others."""

    name: str
    step: GroupPass
    values: tuple[str, ...]
    made: tuple[str, ...]


def numba_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A scheduled kernel; it writes into ``outputs`` and returns its other results."""
    steps, squares = _near_mean(kernel, data)
    steps = _postponed(steps)
    full = frozenset(data.axes)
    passes, groups = readings(kernel.name, steps, full), _groups(kernel, steps)
    functions = [text for one in passes for text in _functions(one)]
    functions += [_once(group) for group in groups]
    parts: list[Reading | Once] = [*passes, *groups]
    calls = {id(part.step): _call_of(part) for part in parts}
    given = [code_name(var) for var in kernel.program.given]
    vectors = [code_name(v) for v in kernel.program.given if free_axes(v) and free_axes(v) != full]
    results = [name for var in kernel.program.results if (name := code_name(var)) not in outputs]
    parameters = [*(f"{name}: Any" for name in given), "layout: _Layout"]
    parameters += [f"{name}: Array" for name in outputs]
    lines = [signature(f"_{kernel.name}", parameters, "tuple[Array, ...]")]
    lines.append(f'    """{about}, in {READINGS[len(passes)]} of the data."""')
    # Without elements all sums are zero, and with m = 1 so is what depends on them.
    lines += [line.replace("layout.m", "_number(max(layout.m, 1))") for line in size_of(kernel)]
    if vectors:
        lines.append(call(f"{_targets(vectors)} = _vectors", vectors, 4))
    if squares:
        lines += _centred(steps, calls, data, squares)
    else:
        lines += [line for step in steps for line in calls[id(step)]]
    returned = call("return _spread", ["layout", *results], 4) if results else "    return ()"
    return "\n\n\n".join([*functions, "\n".join([*lines, returned])])


# --- The order of passes --------------------------------------------------------------------------


def _near_mean(kernel: Kernel, data: Var) -> tuple[tuple[Pass, ...], str]:
    """The passes without the one that finds the mean, and the sum of squares about the centre.

    Each result was proved for any centre whatever.  Where Σd² is known a reading for the mean can
    therefore be saved: d about some number near it does as well, and Σd²/m − (Σd/m)² cancels no
    more than (Σd/m)² beside Σd²/m, which is looked at.
    """
    program = kernel.program
    shifted = Var(SHIFTED, *data.axes)
    square = SumOver(Pow(shifted, 2), data.axes[0])
    squares = [code_name(a.target) for a in program.assigns if a.expr == square]
    centre = next((a.target for a in program.assigns if a.target.label == CENTRE), None)
    if centre is None or not squares:
        return kernel.passes, ""
    kept = [a for a in program.assigns if a.target != centre]
    read = {v for a in kept for v in variables(a.expr)} | set(program.results)
    given = (*program.given, centre)
    rest = Program(given, tuple(a for a in kept if a.target in read), program.results)
    return schedule(rest, data), squares[0]


def _centred(
    steps: Sequence[Pass], calls: dict[int, list[str]], data: Var, squares: str
) -> list[str]:
    """The sums about a guess, and if that was far from the mean, about what they make of it."""
    first = next(k for k, step in enumerate(steps) if isinstance(step, MapPass))
    mean, rest = CODE_NAMES[CENTRE], CODE_NAMES[REST]
    body = [line for step in steps[:first] for line in calls[id(step)]]
    return [
        "    # Any centre gives the same results, but for rounding: the mean of a few elements.",
        f"    {mean} = _near_mean({code_name(data)}, layout)",
        "    for again in (True, False):",
        *(f"    {line}" for text in body for line in text.split("\n")),
        f"        if not (again and _far({rest}, {squares}, {data.axes[0].size})):",
        "            break",
        f"        {mean} = {mean} + {rest}",
        *(line for step in steps[first:] for line in calls[id(step)]),
    ]


def _call_of(part: Reading | Once) -> list[str]:
    """The lines of a core that call a part of it."""
    if isinstance(part, Once):
        target = part.made[0] if len(part.made) == 1 else _targets(part.made)
        return ["    # Once for each channel.", call(f"{target} = {part.name}", part.values, 4)]
    loops = f"({part.name}_rows, {part.name}_runs)"
    arguments = [loops, "layout", argument(part.data), argument(part.values)]
    if part.sums:
        note = "    # One reading of the data: sums over the batch."
        target = f"{_targets(part.made)} = _read"
        return [note, call(target, [*arguments, f"sums={len(part.made)}"], 4)]
    note = "    # One reading of the data: the result, rounded once as it is stored."
    return [note, call("_read", [*arguments, f"results={argument(part.made)}"], 4)]


# --- What is computed once for each channel -------------------------------------------------------


def _postponed(steps: Sequence[Pass]) -> tuple[Pass, ...]:
    """The same with what no reading needs in between computed together with what comes later."""
    kept: list[Pass] = []
    for k, step in enumerate(steps):
        later = next((j for j in range(k + 1, len(steps)) if isinstance(steps[j], GroupPass)), 0)
        if isinstance(step, GroupPass) and later:
            made = {code_name(a.target) for a in step.assigns}
            if not any(made & _read_by(one) for one in steps[k + 1 : later]):
                group = GroupPass((*step.assigns, *_assigns(steps[later])))
                return _postponed((*kept, *steps[k + 1 : later], group, *steps[later + 1 :]))
        kept.append(step)
    return tuple(kept)


def _groups(kernel: Kernel, steps: Sequence[Pass]) -> list[Once]:
    """Every pass over the channels, with a name of its own."""
    found: list[Once] = []
    used = {code_name(var) for var in kernel.program.results} | {CODE_NAMES[REST]}
    for step in steps:
        if isinstance(step, GroupPass):
            others = {name for one in steps if one is not step for name in _read_by(one)}
            made = [code_name(a.target) for a in step.assigns]
            name = f"_{kernel.name}_once" + (f"_{len(found) + 1}" if found else "")
            values = sorted(_read_by(step) - {*made})
            kept = tuple(one for one in made if one in others | used)
            found.append(Once(name, step, tuple(values), kept))
    return found


def _read_by(step: Pass) -> set[str]:
    """The names of what a pass reads, sizes included."""
    assigns = _assigns(step)
    return {code_name(v) for a in assigns for v in variables(a.expr)} | {*sizes(assigns)}


def _assigns(step: Pass) -> tuple[Assign, ...]:
    if isinstance(step, GroupPass):
        return step.assigns
    return (*step.local, *(step.sums if isinstance(step, ReducePass) else step.results))


def _once(group: Once) -> str:
    """The formulas of one value for each channel."""
    lines = ["@_compiled", signature(group.name, [f"{v}: Any" for v in group.values], "Any")]
    lines.append('    """What there is once for each channel."""')
    *assigns, last = group.step.assigns
    if group.made == (code_name(last.target),):
        lines += assignments(assigns, name_of)
        return "\n".join([*lines, *statement(f"return {code(last.expr, name_of)}", last.note, 4)])
    lines += assignments(group.step.assigns, name_of)
    returned = group.made[0] if len(group.made) == 1 else _targets(group.made)
    return "\n".join([*lines, f"    return {returned}"])


# --- The functions of a reading -------------------------------------------------------------------


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
    sizes = {s.name for e in exprs for s in e.atoms(Symbol) if not isinstance(s, Var | Axis)}
    return Reading(
        name,
        step,
        tuple(code_name(v) for v in read if free_axes(v) == full),
        (*(code_name(v) for v in read if free_axes(v) != full), *sorted(sizes)),
        tuple(code_name(a.target) for a in made),
    )


def _functions(reading: Reading) -> tuple[str, str, str]:
    return element(reading), _along_rows(reading), _along_runs(reading)


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
        f"        for k in range({first}.shape[2]):",
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
        f"        for c in range({first}.shape[1]):",
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


def _head(reading: Reading, loop: str, way: str) -> list[str]:
    arrays = [f"{name}: Array" for name in (*reading.data, *reading.values, *reading.made)]
    parameters = ["rows: Any", *arrays] if loop == "rows" else arrays
    made = "sums over the batch" if reading.sums else "the result"
    return [
        "@_in_any_order" if reading.sums and loop == "runs" else "@_compiled",
        signature(f"{reading.name}_{loop}", parameters, "None"),
        f'    """One reading of the data: {made}, {way}."""',
    ]


def _call(reading: Reading, index: str, values: Sequence[str], indent: int) -> list[str]:
    data = [f"_load({name}[{index}])" for name in reading.data]
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


def _targets(names: Sequence[str]) -> str:
    """A tuple as it stands in a line of a core, with each name on its own line where they are
    many."""
    text = tuple_of(names)
    return text if len(text) <= WIDTH - 16 else f"(\n{one_a_line(names, 8)}    )"
