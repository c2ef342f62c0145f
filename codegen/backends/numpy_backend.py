"""The NumPy backend: blocks of the data in float64, one loop for each pass over memory.

A module is made of three kinds of text: the array handling of :mod:`numpy_support`, copied; the
functions users call, which validate and are the same for every layer of this shape; and the cores
that compute, printed from the scheduled passes.  Only the last contain mathematics, and all of it
comes from the derivation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from sympy import Add, Expr

from codegen.backends.numpy_block import block_text
from codegen.backends.numpy_blocks import in_float64
from codegen.backends.numpy_cache import kept_lines
from codegen.backends.numpy_calls import core_call, precise_call
from codegen.backends.numpy_cores import jacobian_core, staged_core
from codegen.backends.numpy_deployment import deployment_text
from codegen.backends.numpy_layouts import BATCH, ArrayLayout, layout_of
from codegen.backends.numpy_limits import refuse, refuse_clashes
from codegen.backends.numpy_lines import call_or_again, statistics_in_float64, with_again
from codegen.backends.numpy_narrow import IN_BLOCKS, IN_FLOAT32, in_lines
from codegen.backends.numpy_one_size import with_one_size
from codegen.backends.numpy_second_order import second_order_text
from codegen.backends.numpy_text import (
    BACKWARD,
    CACHE,
    COUNTING,
    DEFAULTS,
    FORWARD,
    JVP,
    KEPT,
    MODULE,
    STAGED,
    SUMMARY,
)
from codegen.backends.python_lines import (
    WIDTH,
    block,
    call,
    indented,
    one_a_line,
    paragraph,
    tuple_of,
)
from codegen.backends.python_unused import without_unused
from codegen.block import Placement
from codegen.deployment import build_deployment
from codegen.linear import LinearKernel, linear_deployment, linear_kernels
from codegen.lines import LineKernel, line_kernels
from codegen.lower import u_and_r
from codegen.names import code_name
from codegen.passes import PASSES, ProgramPass
from codegen.pipeline import Kernel, Kernels
from codegen.second_order import LAYERS as SECOND_ORDER
from codegen.second_order import build_second_order
from derive.expr import Definition, Var, adjoint
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.render import PAPER, equation, formula, to_line, to_lines


class NumpyBackend:
    """Prints modules for ``generated/numpy_kernels``."""

    name = "numpy"
    folder = "numpy_kernels"

    def render(self, kernels: Kernels, wide: bool = False) -> str:
        """The module's body; ``wide`` in any case where it is not known what to check."""
        layout = layout_of(kernels)
        if layout is BATCH:
            kernels = linear_kernels(kernels, narrow=not wide)
            if isinstance(kernels.forward, LinearKernel):
                layout = IN_FLOAT32 if kernels.forward.checks else IN_BLOCKS
        else:
            kernels = with_one_size(kernels if wide else line_kernels(kernels))
            if isinstance(kernels.forward, LineKernel):
                layout = in_lines(layout, kernels.forward)
        refuse(kernels, layout)
        text = ModuleText(kernels, layout).text()
        refuse_clashes(text, kernels.derivation.layer, layout)
        return text

    def render_block(self, placements: Sequence[Placement]) -> str:
        return block_text(placements)


@cache
def _written(var: Var, expr: Expr, shown: tuple[str, ...]) -> tuple[str, ...]:
    """A definition in a docstring, where it often stands more than once."""
    return tuple(to_lines(equation(var, expr, PAPER, shown), ascii=True, width=WIDTH - 8))


class ModuleText:
    """The text of one module; a library that is called the same way may take NumPy's place."""

    library, libraries = "NumPy", "NumPy"

    def __init__(
        self, kernels: Kernels, layout: ArrayLayout, passes: tuple[ProgramPass, ...] = PASSES
    ) -> None:
        self.kernels, self.layout, self.passes = kernels, layout, passes
        self.layer: Layer = kernels.derivation.layer
        self.shown = tuple(axis.base for axis in self.layer.data.axes[layout.shown])
        self.kept = tuple(code_name(var) for var in kernels.kept)
        self.learnt = tuple(code_name(var) for var in self.layer.learnt)
        self.parameters = tuple(code_name(var) for var in self.layer.parameters)
        self.frozen = tuple(var for var in self.layer.parameters if var.axes)
        self.wide = (*self.layer.learnt, *self.frozen)

    def text(self) -> str:
        kernels, layout = self.kernels, self.layout
        derivation, x = kernels.derivation, self.layer.data
        fields = {
            "summary": paragraph(SUMMARY.format(self.layer.title, self.library), 0),
            "source": self.layer.source,
            "definitions": self._formulas(self.layer.definitions),
            "closed": self._formulas(self._closed_forms()),
            "staged": self._formulas(Definition(r.var, r.staged) for r in derivation.adjoints),
            "jvp_form": self._formulas([derivation.tangent.definition]),
            "u_and_r": self._formulas(u_and_r(derivation)),
            "libraries": self.libraries,
            "support": self.layout.support(),
            **self.layout.fields(),
            "kept_about": paragraph(KEPT.format(layout.each)).lstrip(' "'),
            "counting": paragraph(COUNTING.format(layout.counted)),
            "learnt_defaults": one_a_line(
                f"{p}: npt.ArrayLike | None{'' if layout.has_positional else ' = None'}"
                for p in self.learnt
            ),
            "parameter_defaults": one_a_line(
                f"{p}: float = {DEFAULTS.get(p, '0.0')}" if not v.axes else f"{p}: npt.ArrayLike"
                for p, v in zip(self.parameters, self.layer.parameters, strict=True)
            ),
            "in_float64": self._in_float64(),
            "apart": "inputs" if self.wide else "[]",
        }
        top = {
            "definitions": self._formulas(self.layer.definitions, by=4),
            "closed": self._formulas(self._closed_forms(), by=4),
        }
        parts = [
            MODULE.format(**{**fields, **top}),
            CACHE.format(
                **fields,
                fields=self._cache_fields(),
                kept=indented(kept_lines(kernels, self._lines, self._symbol), 8),
            ),
            FORWARD.format(**fields, **self._forward_pieces()),
            layout.core(kernels.forward, x, ("y",), "The definitions"),
            BACKWARD.format(**fields, **self._gradients()),
            layout.core(kernels.backward, x, ("dx",), "The closed forms"),
            *self._more_precise(),
            STAGED.format(**fields, **self._gradients()),
            staged_core(kernels.backward_staged, x, layout.namer(x)),
            JVP.format(**fields, **self._tangents()),
            self._core(kernels.jvp, ("y_dot",), "The closed form"),
            layout.jacobian.format(**fields, **self._columns()),
            jacobian_core(kernels.jacobian, layout.jacobian_about),
        ]
        if self.layer in SECOND_ORDER:
            second_order = build_second_order(derivation, self.passes)
            parts += second_order_text(second_order, layout, self._formulas, self._call, self._core)
        if self.layer == BATCH_NORM:
            linear = isinstance(kernels.forward, LinearKernel)
            deployment = (linear_deployment if linear else build_deployment)(self.passes)
            parts += deployment_text(deployment, self._formulas, layout.core)
        return without_unused("\n\n\n".join(part.strip("\n") for part in parts) + "\n")

    # --- Formulas for the docstrings --------------------------------------------------------------

    def _lines(self, definition: Definition, shown: Sequence[str] = ()) -> list[str]:
        return list(_written(definition.var, definition.expr, tuple(shown or self.shown)))

    def _formulas(
        self, definitions: Iterable[Definition], shown: Sequence[str] = (), by: int = 8
    ) -> str:
        return indented([line for d in definitions for line in self._lines(d, shown)], by)

    def _closed_forms(self) -> list[Definition]:
        wanted = [adjoint(var) for var in self.layer.inputs]
        return [r.definition for r in self.kernels.derivation.adjoints if r.var in wanted]

    def _symbol(self, var: Var) -> str:
        return to_line(formula(var, PAPER, self.shown), ascii=True)

    # --- Pieces of the functions that users call --------------------------------------------------

    def _neutral(self, var: Var) -> int:
        """The value that leaves the output unchanged: 0 for a term of it, 1 for a factor."""
        output = self.layer.definitions[-1].expr
        return 0 if var in Add.make_args(output) else 1

    def _cache_fields(self) -> str:
        arrays = ("x", *self._cached(self.wide), *self.kept)
        numbers = self._cached(v for v in self.layer.parameters if not v.axes)
        lines = [*(f"{name}: Array" for name in arrays), *(f"{name}: float" for name in numbers)]
        options = (f"{option.name}: {option.cached_type}" for option in self.layout.options)
        return indented([*lines, *options])

    def _cached(self, given: Iterable[Var]) -> list[str]:
        """Those of the inputs and parameters that some kernel other than forward reads."""
        kernels = self.kernels
        used = {
            var.label
            for kernel in (kernels.backward, kernels.backward_staged, kernels.jvp, kernels.jacobian)
            for var in kernel.program.given
        }
        return [code_name(var) for var in given if var.label in used]

    def _forward_pieces(self) -> dict[str, str]:
        layer = self.layer
        scalars = [code_name(v) for v in layer.parameters if not v.axes]
        setup = [f'{p} = _real("{p}", {p})' for p in scalars]
        setup += [
            f'wide_{code_name(v)} = {self.layout.values}("{code_name(v)}", {code_name(v)}, layout, '
            f"{self._neutral(v)})"
            for v in layer.learnt
        ]
        setup += [
            f'wide_{code_name(v)} = {self.layout.values}("{code_name(v)}", {code_name(v)}, layout)'
            for v in self.frozen
        ]
        if inputs := [code_name(v) for v in self.wide]:
            every = f"({', '.join(inputs)}{',' if len(inputs) == 1 else ''})"
            setup.append(f"inputs = [a for a in {every} if isinstance(a, np.ndarray)]")
        given = [
            f"wide_{code_name(v)}" if v in self.wide else self._argument(code_name(v), v)
            for v in self.kernels.forward.program.given
        ]
        copied = self._cached(self.wide)
        learnt = [self.layout.cached.format(f"wide_{p}") for p in copied]
        parameters = self._cached(v for v in layer.parameters if not v.axes)
        neutral = [f"{code_name(v)} = {self._neutral(v)}" for v in layer.learnt]
        about = self.layout.x
        if neutral:
            about += f"{', '.join(self.learnt)}: {self.layout.vector}, of any of these dtypes; "
            about += f"None means {', '.join(neutral)}.  "
        about += "".join(f"{p}: a real number, used as given.  " for p in scalars)
        about += "".join(
            f"{code_name(v)}: {self.layout.vector}, a constant.  " for v in self.frozen
        )
        about += "out: an array for y, which may be exactly x.  Returns y with the shape and dtype "
        about += "of x, and the cache."
        targets = f"{tuple_of(self.kept)} = " if self.kept else ""
        options = [option.cached for option in self.layout.options]
        return {
            "about": paragraph(about),
            "errors": paragraph(self.layout.errors),
            "setup": block(setup),
            "core_call": core_call("_forward", given, ("y",), kept=self.kept, copied=copied)
            if self.layout.by_channels
            else call(f"{targets}_forward", [*given, "layout", self._whole("y")], 8),
            "kept": call("return y, Cache", ["x", *learnt, *self.kept, *parameters, *options], 4),
        }

    def _gradients(self) -> dict[str, str]:
        names = [f"d{p}" for p in self.learnt]
        every, one = ["dx", *names], f"{self.layout.one}, " if names else ""
        store = [f"{name}[...] = wide_{name}.reshape(one)" for name in names]
        arguments = {
            kernel.name: self._given(kernel)
            for kernel in (self.kernels.backward, self.kernels.backward_staged)
        }
        written = [self.layout.gradient.format(name) for name in names if self.layout.gradient]
        returned = names and not written
        wide = f"{tuple_of([f'wide_{name}' for name in names])} = " if returned else ""
        shaped = "" if self._whole("") == "" else "\n        dx = dx.reshape(layout.shape)"
        narrow = ["dx.astype(dtype)", *(f"{name}.reshape(one).astype(dtype)" for name in names)]
        about = "dy: the shape of x, any float dtype.  out: an array for dx, which may be exactly "
        about += "dy, or a tuple with an array or None for each result.  Returns dx with the shape "
        if names:
            about += f"of x and {', '.join(names)}: {self.layout.vector}, also where the parameter "
            about += "was None; all have the dtype of x."
        else:
            about += "and dtype of x, by itself as it is the only gradient."
        return {
            "about": paragraph(about),
            "gradient_names": ", ".join(every),
            "gradient_shapes": "".join(f', "{name}": one' for name in names),
            "gradient_types": f"tuple[{', '.join('Array' for _ in every)}]" if names else "Array",
            "gradients": tuple_of(every),
            "returned": ", ".join(every),
            "one_shape": block([f"one = {self.layout.one}"] if names else []),
            "one_and_dtype": f"{'one, ' if names else ''}dtype = {one}cache.x.dtype",
            "store": block(store if returned and not self.layout.by_channels else [], 8),
            "backward_call": core_call("_backward", arguments["backward"], ("dx",), names)
            if self.layout.by_channels
            else call(
                f"{wide}_backward",
                [*arguments["backward"], "layout", self._whole("dx"), *written],
                8,
            ),
            "staged_results": ", ".join(narrow),
            "staged_call": call(
                f"{tuple_of(every)} = _backward_staged",
                [*arguments["backward_staged"], "layout"],
                8,
            )
            + shaped,
        }

    def _tangents(self) -> dict[str, str]:
        names = [f"{p}_dot" for p in self.learnt]
        setup = [
            f'wide_{name} = {self.layout.values}("{name}", {name}, layout, 0)' for name in names
        ]

        def argument(var: Var) -> str:
            name = code_name(var)
            own = name if var.role == "tangent" else f"cache.{name}"
            return f"wide_{name}" if name in names else self._argument(own, var)

        outputs = ["layout", self._whole("y_dot")]
        about = "x_dot: the shape of x"
        about += f"; {', '.join(names)}: {self.layout.vector}" if names else ""
        about += "; any float dtype, and None means zero.  Returns y_dot with the shape and dtype "
        about += "of x."
        return {
            "about": paragraph(about),
            "tangent_arguments": one_a_line(f"{name}: npt.ArrayLike | None" for name in names),
            "tangent_setup": block(setup),
            "tangent_names": ", ".join(["x_dot", *names]),
            "jvp_call": self._call(self.kernels.jvp, argument, outputs),
        }

    def _call(
        self,
        kernel: Kernel,
        argument: Callable[[Var], str],
        outputs: Sequence[str],
        results: Sequence[str] = (),
    ) -> str:
        """A call of a core that computes in float64, for which statistics come from there too."""
        if isinstance(self.kernels.forward, LineKernel):
            statistics, x = self.kernels.forward.statistics, self._whole("cache.x")
            return call_or_again(kernel, statistics, argument, outputs, x)
        prepare = "" if isinstance(kernel, LinearKernel) else self._in_float64()
        given = [*map(argument, kernel.program.given)]
        if self.layout.by_channels:
            several = precise_call if prepare else core_call
            return several(f"_{kernel.name}", given, outputs[1:], results)
        to = f"{tuple_of([f'wide_{name}' for name in results])} = " if results else ""
        return prepare + call(f"{to}_{kernel.name}", [*given, *outputs], 8)

    def _core(self, kernel: Kernel, outputs: Sequence[str], about: str) -> str:
        """A core that computes in float64."""
        core = self.layout.core(kernel, self.layer.data, outputs, about)
        return with_again(core, kernel, self.kernels.forward, outputs, about)

    def _in_float64(self) -> str:
        """A line for functions without checks of their own, if statistics come from float32."""
        return "        cache = _in_float64(cache, layout)\n" if self._more_precise() else ""

    def _more_precise(self) -> list[str]:
        """The function that this line calls."""
        kernels, forward = self.kernels, self.kernels.forward
        programs = [kernels.backward_staged.program, kernels.jacobian.program]
        if isinstance(forward, LineKernel):
            used = {code_name(v) for p in (*programs, kernels.jvp.program) for v in p.given}
            return [statistics_in_float64(forward, used, self.layout.whole)]
        if not (isinstance(forward, LinearKernel) and forward.checks):
            return []
        return [in_float64(forward, {code_name(v) for p in programs for v in p.given})]

    def _columns(self) -> dict[str, str]:
        given = self.kernels.jacobian.program.given
        columns = [
            f"{code_name(v)} = cache.{code_name(v)}"
            if v in self.layer.parameters and not v.axes
            else f"{code_name(v)} = {self.layout.own}({self._cached_value(v)})"
            for v in given
        ]
        return {"columns": indented(columns, 8), "column_names": ", ".join(map(code_name, given))}

    def _given(self, kernel: Kernel) -> list[str]:
        """What a core takes, in the words of its caller."""
        dy = adjoint(self.layer.output)
        return [
            self._argument(code_name(v) if v == dy else f"cache.{code_name(v)}", v)
            for v in kernel.program.given
        ]

    def _cached_value(self, var: Var) -> str:
        """What the cache has of a quantity, as cores take it."""
        name = f"cache.{code_name(var)}"
        return self._whole(name) if var.label == self.layer.data.label else name

    def _argument(self, name: str, var: Var) -> str:
        """A quantity as cores take it."""
        return self._whole(name) if var.axes == self.layer.data.axes else name

    def _whole(self, name: str) -> str:
        """An array of x's shape as cores take it."""
        return self.layout.whole.format(name)
