"""Cores of NumPy modules whose kernels choose origins (:mod:`codegen.origins`).

As in :mod:`codegen.backends.numpy_rows` a loop over blocks of whole rows computes all that a row
needs, and rows larger than a block are left to a second function, which goes over their pieces as
the schedule has it.  Here every operation on a block is a statement of its own that writes into
scratch: fresh memory for each would cost more than the arithmetic.  An operand that is not read
again gives its scratch to the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Mul, exp

from codegen.backends.numpy_cores import READINGS, name_of
from codegen.backends.numpy_rows import RETURNS, leave_to_pieces, pieces_name
from codegen.backends.python_code import code
from codegen.backends.python_lines import signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, ReducePass, is_sum
from codegen.names import code_name
from codegen.origins import origins_of
from codegen.pipeline import Kernel
from derive.expr import Var, add, free_axes, mul


def origin_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A kernel by blocks of rows, or by pieces of each; it writes into ``outputs`` and returns its
    other results."""
    core = Core(kernel, data, outputs)
    return f"{core.by_blocks(about)}\n\n\n{core.by_pieces(about)}"


@dataclass(frozen=True)
class _Operand:
    """Code for a value; ``slot`` is the scratch that it lies in, if it may be overwritten."""

    text: str
    whole: bool
    slot: int | None = None


class Core:
    """The parts of one core."""

    def __init__(self, kernel: Kernel, data: Var, outputs: Sequence[str]) -> None:
        self.kernel, self.program, self.outputs = kernel, kernel.program, outputs
        self.full, self.origins = frozenset(data.axes), origins_of(kernel)
        self.reduced = frozenset(data.axes[1:])
        self.kept = [var for var in self.program.results if code_name(var) not in outputs]
        self.given = [v for v in self.program.given if free_axes(v) != self.full]

    # --- The two functions ------------------------------------------------------------------------

    def by_blocks(self, about: str) -> str:
        body = _Body(self, "block", 8)
        body.statements(self.program.assigns)
        handed = leave_to_pieces(self.kernel, self.outputs, "layout.m > _BLOCK")
        head = self._head(f"_{self.kernel.name}", f"{about}, by blocks of whole rows.", handed)
        loop = ["    for block in layout.blocks():", *self._known("block")]
        return self._function(head, [*loop, *body.lines, *self._keep("block")], body.slots)

    def by_pieces(self, about: str) -> str:
        readings = sum(not isinstance(step, GroupPass) for step in self.kernel.passes)
        said = f"{about}, in {READINGS[readings]} of each row by pieces of it."
        lines, slots = ["    for row in layout.blocks():", *self._known("row")], 0
        for step in self.kernel.passes:
            if isinstance(step, GroupPass):
                for a in step.assigns:
                    lines += statement(f"{self.name(a.target)} = {self.row(a.expr)}", a.note, 8)
                continue
            sums = isinstance(step, ReducePass)
            made = step.sums if isinstance(step, ReducePass) else step.results
            if sums:
                lines += [f"        {code_name(a.target)} = layout.nothing(row)" for a in made]
            body = _Body(self, "piece", 12)
            body.statements((*step.local, *made), add_up=sums)
            lines += ["        for piece in layout.pieces(row):", *body.lines]
            slots = max(slots, body.slots)
        head = self._head(pieces_name(self.kernel), said, [])
        return self._function(head, [*lines, *self._keep("row")], slots)

    def _head(self, name: str, said: str, handed: list[str]) -> list[str]:
        parameters = [*(f"{code_name(v)}: Any" for v in self.program.given), "layout: _Layout"]
        parameters += [f"{output}: Array" for output in self.outputs]
        return [signature(name, parameters, RETURNS), f'    """{said}"""', *handed]

    def _function(self, head: list[str], loop: list[str], slots: int) -> str:
        made = [f"    {code_name(var)} = layout.per_row()" for var in self.kept]
        scratch = [f"    scratch = _Scratch({slots}, layout)"]
        results = tuple_of([code_name(var) for var in self.kept])
        return "\n".join([*head, *made, *scratch, *loop, f"    return {results}"])

    def _known(self, rows: str) -> list[str]:
        """What some rows have of what is given, and their origins."""
        part = "_cut({}, row)" if rows == "row" else "{}[block]"
        lines = [f"        {self.name(v)} = {part.format(code_name(v))}" for v in self.given]
        if self.origins:
            lines.append(f"        place = _place(x, {rows}, layout)")
        return lines + [
            f"        {self.name(origin)} = _at({code_name(array)}, {rows}, place, layout)"
            for origin, array in self.origins.items()
        ]

    def _keep(self, rows: str) -> list[str]:
        return [f"        {code_name(var)}[{rows}] = {self.name(var)}" for var in self.kept]

    # --- Words ------------------------------------------------------------------------------------

    def name(self, node: Expr) -> str:
        """A quantity inside the loop: what is an array outside it, too, is told apart."""
        return name_of(node) + ("_of" if node in (*self.given, *self.kept) else "")

    def row(self, expr: Expr) -> str:
        """Code for what each row has one value of."""
        return code(expr, self.name)

    def varies(self, expr: Expr) -> bool:
        """Whether it has a value for each element of a row."""
        return bool(free_axes(expr) & self.reduced)

    def terms(self, total: Add) -> list[tuple[str, Expr]]:
        """The operations that make a sum: first what is added, last what there is one of a row."""
        signed = [("subtract", mul(-1, t)) if _negative(t) else ("add", t) for t in total.args]
        whole = sorted((s for s in signed if self.varies(s[1])), key=lambda s: s[0])
        rest = add(*(term for term in total.args if not self.varies(term)))
        if rest == 0:
            return whole
        return [*whole, ("subtract", mul(-1, rest)) if _negative(rest) else ("add", rest)]

    def factors(self, product: Mul) -> list[tuple[str, Expr]]:
        """The operations that make a product: last what there is one of a row, as one factor."""
        whole = [("multiply", factor) for factor in product.args if self.varies(factor)]
        rest = mul(*(factor for factor in product.args if not self.varies(factor)))
        return whole if rest == 1 else [*whole, ("multiply", rest)]


def _negative(term: Expr) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


class _Body:
    """What is done for one block or piece."""

    def __init__(self, core: Core, box: str, indent: int) -> None:
        self.core, self.box, self.indent = core, box, indent
        self.lines: list[str] = []
        self.lies: dict[Var, int] = {}  # in which slot
        self.left: Counter[Var] = Counter()  # how often a quantity is read from here on
        self.free: list[int] = []
        self.slots = 0

    def statements(self, assigns: Iterable[Assign], *, add_up: bool = False) -> None:
        """In order; ``add_up``: sums are over a piece, and added to those of others."""
        assigns = list(assigns)
        for a in assigns:
            self.left.update(_occurrences(a.expr))
        for a in assigns:
            target = self.core.name(a.target)
            if is_sum(a):
                value = self._value(a.expr.body, target.removeprefix("sum_"))
                self._print(f"{target} {'+=' if add_up else '='} layout.total({value.text})", "")
                self._release(value)
            elif free_axes(a.target) != self.core.full:
                self._print(f"{target} = {self.core.row(a.expr)}", a.note)
            elif target in self.core.outputs:
                value = self._value(a.expr, f"{target}_{self.box}", a.note)
                self._print(f"{target}[{self.box}] = {value.text}", "")
                self._release(value)
            else:
                value = self._value(a.expr, target, a.note)
                assert value.slot is not None, f"{target} is no value of its own"
                self.lies[a.target] = value.slot

    def _print(self, text: str, note: str) -> None:
        self.lines += statement(text, note, self.indent)

    # --- Values -----------------------------------------------------------------------------------

    def _value(self, expr: Expr, target: str = "", note: str = "") -> _Operand:
        """The lines that compute it; the last one calls it ``target``."""
        if not self.core.varies(expr):
            return _Operand(self.core.row(expr), whole=False)
        if isinstance(expr, Var):
            return self._read(expr)
        if isinstance(expr, exp):
            return self._made("exp", [self._value(expr.args[0])], target, note)
        if isinstance(expr, Add | Mul):
            parts = self.core.terms(expr) if isinstance(expr, Add) else self.core.factors(expr)
            return self._folded(parts, target, note)
        raise TypeError(f"no code for {type(expr).__name__}: {expr}")

    def _read(self, var: Var) -> _Operand:
        self.left[var] -= 1
        name = code_name(var)
        if var in self.core.program.given:
            name += f"_{self.box}"
            if var not in self.lies:
                self.lies[var] = self._slot()
                read = f"scratch.read({self.lies[var]}, {code_name(var)}[{self.box}])"
                self._print(f"{name} = {read}", "")
        return _Operand(name, whole=True, slot=None if self.left[var] else self.lies[var])

    def _folded(self, parts: Sequence[tuple[str, Expr]], target: str, note: str) -> _Operand:
        """Parts one after another, each by its operation; the first is taken as it is."""
        (_, first), *others = parts
        made = self._value(first)
        for k, (operation, part) in enumerate(others, start=1):
            last = (target, note) if k == len(others) else ("", "")
            made = self._made(operation, [made, self._value(part)], *last)
        return made

    def _made(self, operation: str, operands: list[_Operand], target: str, note: str) -> _Operand:
        """The result of an operation, in the scratch of an operand that is not read again."""
        own = [operand for operand in operands if operand.slot is not None]
        slot = own[0].slot if own and own[0].slot is not None else self._slot()
        like = next(operand.text for operand in operands if operand.whole)
        room = own[0].text if own else f"scratch.like({slot}, {like})"
        name = target or f"made_{slot}"
        given = ", ".join(operand.text for operand in operands)
        self._print(f"{name} = np.{operation}({given}, out={room})", note)
        for operand in own[1:]:
            self._release(operand)
        return _Operand(name, whole=True, slot=slot)

    def _slot(self) -> int:
        if self.free:
            return self.free.pop(0)
        self.slots += 1
        return self.slots - 1

    def _release(self, operand: _Operand) -> None:
        if operand.slot is not None:
            self.free = sorted([*self.free, operand.slot])


def _occurrences(expr: Expr) -> list[Var]:
    """Each Var as often as it stands in an expression."""
    if isinstance(expr, Var):
        return [expr]
    return [var for arg in expr.args for var in _occurrences(arg)]
