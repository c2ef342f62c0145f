"""The cores of a numba module: what each element costs, compiled, and the passes around it.

A pass over memory is printed as a few compiled functions (:mod:`codegen.backends.numba_readings`).
The core itself is printed twice: compiled, so that it is one call where one thread reads arrays as
they lie, and as plain Python, with a call for each reading, where several threads share a reading
or arrays have to be copied block by block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Pow

from codegen.backends.numba_passes import NarrowKernel
from codegen.backends.numba_readings import Reading, argument, functions, readings
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
from derive.expr import SumOver, Var, add, free_axes, variables


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
    texts = [text for one in passes for text in functions(one)]
    texts += [_once(group) for group in groups]
    core = _Core(kernel, data, tuple(outputs), steps, squares, {id(p.step): p for p in passes})
    once = {id(group.step): group for group in groups}
    return "\n\n\n".join([*texts, core.in_one_call(once), core.text(once, about)])


@dataclass(frozen=True)
class _Core:
    """A core on its way to text; ``squares`` is the sum of squares about the centre, if any."""

    kernel: Kernel
    data: Var
    outputs: tuple[str, ...]
    steps: tuple[Pass, ...]
    squares: str
    passes: dict[int, Reading]

    @property
    def given(self) -> list[str]:
        return [code_name(var) for var in self.kernel.program.given]

    @property
    def arrays(self) -> list[str]:
        """What is given of the size of the data."""
        given, full = self.kernel.program.given, frozenset(self.data.axes)
        return [code_name(var) for var in given if free_axes(var) == full]

    @property
    def vectors(self) -> list[str]:
        """What is given that a channel has one value of."""
        given, arrays = self.kernel.program.given, self.arrays
        return [name for var in given if var.axes and (name := code_name(var)) not in arrays]

    @property
    def results(self) -> list[str]:
        names = [code_name(var) for var in self.kernel.program.results]
        return [name for name in names if name not in self.outputs]

    @property
    def sizes(self) -> list[str]:
        return [line.split()[0] for line in size_of(self.kernel)]

    # --- Compiled ---------------------------------------------------------------------------------

    def in_one_call(self, once: dict[int, Once]) -> str:
        """The core in one compiled function; results of channels go into rows of ``kept``."""
        written = [*self.outputs, *(["kept"] if self.results else [])]
        parameters = [*(f"{name}: Any" for name in ("rows", *self.given, *self.sizes))]
        parameters += [f"{name}: Array" for name in written]
        lines = [
            "@_compiled",
            signature(f"_{self.kernel.name}_in_one_call", parameters, "None"),
            '    """All of it, for arrays (before, channels, after), by one thread."""',
        ]
        calls = {id(step): self._compiled_call(step, once) for step in self.steps}
        body = self._in_order(calls, f"_near_mean_of({code_name(self.data)})", self.sizes)
        if self.results:
            body.append("    for c in range(channels):")
        body += [f"        kept[{k}, c] = {name}[c]" for k, name in enumerate(self.results)]
        if any("channels" in line for line in body):
            lines.append(f"    channels = {self.arrays[0]}.shape[1]")
        lines += body
        return "\n".join(lines)

    def _compiled_call(self, step: Pass, once: dict[int, Once]) -> list[str]:
        if isinstance(step, GroupPass):
            return _call_of_group(once[id(step)])
        part = self.passes[id(step)]
        own = [self._of_channels(name) for name in part.values]
        lines = [f"    {total} = np.zeros(channels, _WIDE)" for total in part.made if part.sums]
        wide = call(part.name, ["rows", *part.data, *own, *part.made], 4)
        if not (holds := self._holds(part)):
            return [*lines, wide]
        narrow = [f"_narrowed({name}, {part.data[0]})" for name in own]
        return [
            *holds,
            "    if holds:",
            call(part.name, ["rows", *part.data, *narrow, *part.made], 8),
            "    else:",
            *(f"    {line}" for line in wide.split("\n")),
        ]

    def _of_channels(self, name: str) -> str:
        """A value, or one number for all channels as one for each."""
        numbers = [*self.sizes, *(n for n in self.given if n not in (*self.arrays, *self.vectors))]
        return f"np.full(channels, {name}, _WIDE)" if name in numbers else name

    # --- In Python --------------------------------------------------------------------------------

    def text(self, once: dict[int, Once], about: str) -> str:
        """The core that others call."""
        name, outputs, vectors = self.kernel.name, self.outputs, self.vectors
        parameters = [*(f"{given}: Any" for given in self.given), "layout: _Layout"]
        parameters += [f"{output}: Array" for output in outputs]
        lines = [signature(f"_{name}", parameters, "tuple[Array, ...]")]
        lines.append(f'    """{about}, in {READINGS[len(self.passes)]} of the data."""')
        # Without elements all sums are zero, and with m = 1 so is what depends on them.
        sized = [
            line.replace("layout.m", "_number(max(layout.m, 1))") for line in size_of(self.kernel)
        ]
        lines += sized
        if vectors:
            lines.append(call(f"{_targets(vectors)} = _vectors", vectors, 4))
        lines += self._try_one_call()
        calls = {id(step): self._python_call(step, once) for step in self.steps}
        lines += self._in_order(calls, f"_near_mean({code_name(self.data)}, layout)", self.sizes)
        returned = call("return _spread", ["layout", argument(self.results)], 4)
        return "\n".join([*lines, returned if self.results else "    return ()"])

    def _try_one_call(self) -> list[str]:
        """The lines that leave everything to the compiled core, if it can do it."""
        arrays = [*self.arrays, *self.outputs]
        shaped = {name: f"arrays[{k}]" for k, name in enumerate(arrays)}
        arguments = ["_rows_at_once(arrays[0].shape)", *self.given, *self.sizes, *self.outputs]
        arguments = [shaped.get(name, name) for name in arguments]
        kept = f"        kept = np.empty(({len(self.results)}, layout.channels), _WIDE)"
        returned = "_spread(layout, kept)" if self.results else "()"
        return [
            call("if arrays := _in_one_call", ["layout", *arrays], 4) + ":",
            *([kept] if self.results else []),
            call(
                f"_{self.kernel.name}_in_one_call",
                [*arguments, *(["kept"] if self.results else [])],
                8,
            ),
            f"        return {returned}",
        ]

    def _python_call(self, step: Pass, once: dict[int, Once]) -> list[str]:
        if isinstance(step, GroupPass):
            return ["    # Once for each channel.", *_call_of_group(once[id(step)])]
        part = self.passes[id(step)]
        arguments = [part.name, "layout", argument(part.data), argument(part.values)]
        if part.sums:
            note = "    # One reading of the data: sums over the batch."
            target = f"{_targets(part.made)} = _read"
            return [note, call(target, [*arguments, f"sums={len(part.made)}"], 4)]
        note = "    # One reading of the data: the result, rounded once as it is stored."
        holds = self._holds(part)
        arguments += [f"results={argument(part.made)}", *(["narrow=holds"] if holds else [])]
        return [*holds, note, call("_read", arguments, 4)]

    # --- Both -------------------------------------------------------------------------------------

    def _holds(self, part: Reading) -> list[str]:
        """The lines that find out whether a result may be computed in float32, if any may."""
        if part.sums or not isinstance(self.kernel, NarrowKernel):
            return []
        lines = [f"    holds = _moderate({argument(part.values)})"]
        for check in self.kernel.checks:
            left, terms = code(check.left, name_of), code(check.terms, name_of)
            lines.append(f"    holds = holds and _is_left({left}, {terms})")
        return lines

    def _in_order(self, calls: dict[int, list[str]], guess: str, sizes: Sequence[str]) -> list[str]:
        """The calls, one after another; sums first about a guess of the centre and, if that was far
        from the mean, about what they make of it."""
        if not self.squares:
            return [line for step in self.steps for line in calls[id(step)]]
        first = next(k for k, step in enumerate(self.steps) if isinstance(step, MapPass))
        mean, rest = CODE_NAMES[CENTRE], CODE_NAMES[REST]
        body = [line for step in self.steps[:first] for line in calls[id(step)]]
        return [
            "    # Any centre will do, but for rounding: here the mean of a few elements.",
            f"    {mean} = {guess}",
            "    for again in (True, False):",
            *(f"    {line}" for text in body for line in text.split("\n")),
            f"        if not (again and _far({rest}, {self.squares}, {sizes[0]})):",
            "            break",
            f"        {mean} = {mean} + {rest}",
            *(line for step in self.steps[first:] for line in calls[id(step)]),
        ]


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


# --- What is computed once for each channel -------------------------------------------------------


def _call_of_group(group: Once) -> list[str]:
    target = group.made[0] if len(group.made) == 1 else _targets(group.made)
    return [call(f"{target} = {group.name}", group.values, 4)]


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
    if isinstance(kernel, NarrowKernel):
        used |= {code_name(v) for c in kernel.checks for v in variables(add(c.left, c.terms))}
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


def _targets(names: Sequence[str]) -> str:
    """A tuple as it stands in a line of a core, with each name on its own line where they are
    many."""
    text = tuple_of(names)
    return text if len(text) <= WIDTH - 16 else f"(\n{one_a_line(names, 8)}    )"
