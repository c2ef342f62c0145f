"""The double backward: the part of a Batch Norm module that differentiates backward again.

As in :mod:`codegen.backends.numpy_text`, the function that validates is fixed text, and the core
that computes is printed from a proved program.
"""

from __future__ import annotations

from codegen.backends.numpy_cores import Core
from codegen.backends.numpy_deployment import Formulas
from codegen.backends.python_lines import call
from codegen.names import code_name
from codegen.second_order import SecondOrderKernel


def second_order_text(second_order: SecondOrderKernel, formulas: Formulas, core: Core) -> list[str]:
    """The function and its core."""
    kernel, second = second_order.kernel, second_order.second
    wide = ("v_dgamma", "v_dbeta")
    own = {"dy", "v_dx"}
    given = [code_name(var) for var in kernel.program.given]
    arguments = [
        f"wide_{name}" if name in wide else name if name in own else f"cache.{name}"
        for name in given
    ]
    results = [result.definition for result in second.results]
    targets = "(wide_g_gamma,) = _double_backward"
    return [
        DOUBLE_BACKWARD.format(
            closed=formulas(results),
            named=formulas([*second.split, *second.sums]),
            call=call(targets, [*arguments, "layout", "g_dy", "g_x"], 8),
        ),
        core(kernel, second.derivation.layer.data, ("g_dy", "g_x"), "The closed forms"),
    ]


DOUBLE_BACKWARD = '''
def double_backward(
    v_dx: npt.ArrayLike | None,
    v_dgamma: npt.ArrayLike | None,
    v_dbeta: npt.ArrayLike | None,
    dy: npt.ArrayLike,
    cache: Cache,
) -> tuple[Array, Array, Array]:
    """g_dy, g_x, g_gamma: the vector-Jacobian product of backward, in closed form.

{closed}

    with the means and sums

{named}

    These are the gradients of <v_dx, dx> + <v_dgamma, dgamma> + <v_dbeta, dbeta> with respect to
    dy, x and gamma.  The statistics depend on x in them, and are not held constant.

    v_dx, dy: the shape of x; v_dgamma, v_dbeta: (C,); any float dtype, and None for one of the v
    means zero.  Returns g_dy and g_x with the shape of x and g_gamma: (C,), also where gamma was
    None; all have the dtype of x.

    Raises TypeError and ValueError like forward.
    """
    layout = _checked(cache)
    dy = _like("dy", dy, cache.x)
    v_dx = np.zeros_like(cache.x) if v_dx is None else _like("v_dx", v_dx, cache.x)
    wide_v_dgamma = _per_channel("v_dgamma", v_dgamma, layout, 0)
    wide_v_dbeta = _per_channel("v_dbeta", v_dbeta, layout, 0)
    dtype = cache.x.dtype
    g_dy, g_x = np.empty(layout.shape, dtype), np.empty(layout.shape, dtype)
    g_gamma = np.zeros(layout.channels, dtype)
    with np.errstate(all="ignore"):
{call}
        if layout.m:  # of no elements it stays zero
            g_gamma[...] = wide_g_gamma.reshape(-1)
    return g_dy, g_x, g_gamma
'''
