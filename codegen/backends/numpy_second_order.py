"""The double backward: the part of a module that differentiates backward again.

As in :mod:`codegen.backends.numpy_text`, the function that validates is fixed text, and the core
that computes is printed from a proved program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.backends.numpy_deployment import Formulas
from codegen.backends.numpy_layouts import ArrayLayout
from codegen.backends.numpy_one_size import counted
from codegen.backends.python_lines import block, one_a_line, paragraph
from codegen.names import code_name
from codegen.pipeline import Kernel
from codegen.second_order import SecondOrderKernel
from derive.expr import Var, adjoint

Call = Callable[[Kernel, Callable[[Var], str], Sequence[str], Sequence[str]], str]
Core = Callable[[Kernel, Sequence[str], str], str]


def second_order_text(
    second_order: SecondOrderKernel, layout: ArrayLayout, formulas: Formulas, made: Call, core: Core
) -> list[str]:
    """The function and its core; ``made`` writes the call of that, and ``core`` prints it."""
    second = second_order.second
    layer = second.derivation.layer
    kernel = counted(second_order.kernel, layer)
    first, *vectors = (code_name(var) for var in second.cotangents)
    outputs = [code_name(result.var) for result in second.results]
    full = outputs[:2]
    dy = code_name(adjoint(layer.output))

    def argument(var: Var) -> str:
        name = code_name(var)
        if name in vectors:
            return f"wide_{name}"
        own = name if name in (dy, first) else f"cache.{name}"
        return layout.whole.format(own) if var.axes == layer.data.axes else own

    parameters = outputs[2:]
    written = [layout.gradient.format(name) for name in parameters if layout.gradient]
    given = ["layout", *map(layout.whole.format, full), *written]
    terms = [f"<{v}, {v.removeprefix('v_')}>" for v in (first, *vectors)]
    inputs = [name.removeprefix("g_") for name in outputs]
    about = f"These are the gradients of {_listed(terms, ' + ')} with respect to "
    about += f"{_listed(inputs)}.  The statistics depend on x in them, and are not held constant."
    taken = f"{first}, {dy}: the shape of x; "
    taken += f"{', '.join(vectors)}: {layout.vector}; " if vectors else ""
    taken += (
        "any float dtype, and None for one of the v means zero.  Returns g_dy and g_x with the "
    )
    taken += "shape of x"
    if parameters:
        taken += f" and {', '.join(parameters)}: {layout.vector}, also where the parameter was None"
    taken += "; all have the dtype of x."
    stored = [f"{p}[...] = wide_{p}.reshape({layout.one})" for p in parameters]
    empty = ["if layout.m:  # of no elements they stay zero", *(f"    {line}" for line in stored)]
    if written:
        empty = ["if not layout.m:  # of no elements they are zero"]
        empty += [f"    {p}[...] = 0" for p in parameters]
    zeros = [f"{name} = np.zeros({layout.one}, dtype)" for name in parameters]
    if layout.by_channels:
        zeros = [f"one = {layout.one}", *(f"{name} = np.zeros(one, dtype)" for name in parameters)]
        zeros.append(NOTHING.format(", ".join(outputs)))
        stored = []
    definitions = [result.definition for result in second.results]
    return [
        DOUBLE_BACKWARD.format(
            closed=formulas(definitions),
            named=formulas([*second.split, *second.sums]),
            arguments=one_a_line(f"{v}: npt.ArrayLike | None" for v in (first, *vectors)),
            types=", ".join("Array" for _ in outputs),
            names=", ".join(outputs),
            about=paragraph(about),
            taken=paragraph(taken),
            setup=block(f'wide_{v} = {layout.values}("{v}", {v}, layout, 0)' for v in vectors),
            one=layout.one,
            made=block(zeros),
            call=made(kernel, argument, given, [] if written else parameters),
            store=block(empty if stored else [], 8),
        ),
        core(kernel, full, "The closed forms"),
    ]


def _listed(words: list[str], between: str = ", ") -> str:
    """a, b and c; or a + b + c."""
    if between != ", " or len(words) < 2:
        return between.join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


NOTHING = """\
if not layout.m:
        return {}  # of no elements: they stay zero"""

DOUBLE_BACKWARD = '''
def double_backward(
{arguments}    dy: npt.ArrayLike,
    cache: Cache,
) -> tuple[{types}]:
    """{names}: the vector-Jacobian product of backward, in closed form.

{closed}

    with

{named}

{about}

{taken}

    Raises TypeError and ValueError like forward.
    """
    layout = _checked(cache)
    dy = _like("dy", dy, cache.x)
    v_dx = _zero(cache.x) if v_dx is None else _like("v_dx", v_dx, cache.x)
{setup}    dtype = cache.x.dtype
    g_dy, g_x = np.empty(layout.shape, dtype), np.empty(layout.shape, dtype)
{made}    with np.errstate(all="ignore"):
{call}
{store}    return {names}
'''
