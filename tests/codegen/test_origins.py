"""Kernels that read from origins: what is proved of them, and that damages are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sympy import Expr, Pow, exp, expand_log, log

from codegen.ir import Program
from codegen.lower import lower
from codegen.origins import (
    SOFTMAX_Y,
    OriginKernel,
    build_from_origins,
    kernels_of,
    name_per_row,
    origins_of,
    read_data_from_origin,
    read_from_origins,
    restated,
    take_logarithms_apart,
)
from codegen.passes import PASSES
from codegen.pipeline import TEXTBOOK, transform
from codegen.second_order import build_second_order
from derive.derivation import Derivation, derive
from derive.expr import Definition, SumOver, Var, add, mul, variables
from derive.layer import Layer
from derive.layers.softmax import SOFTMAX, c, e, n, x
from derive.trace import CertificationError
from tests.codegen.test_pipeline import everywhere
from tests.derive.statements import derivation_of

KERNELS = ("forward", "backward", "backward_staged", "jvp", "jacobian")
x_max, dy_origin = Var("x_max", n), Var("dy_origin", n)
y = Var("y", n, c, positive=True)
Z_shifted = Var("Z_shifted", n, positive=True)


def labels(variables: tuple[Var, ...]) -> list[str]:
    return [var.label for var in variables]


def test_each_kernel_is_given_what_forward_keeps_and_chooses_the_rest() -> None:
    kernels = kernels_of(derivation_of("softmax"))
    assert labels(kernels.kept) == ["x_max", "Z_shifted"]
    assert labels(kernels.forward.program.given) == ["x"]
    for name, array in (("backward", "dy"), ("jvp", "x_dot")):
        kernel = getattr(kernels, name)
        assert labels(kernel.program.given) == ["x", "Z_shifted", array, "x_max"]
        assert labels(tuple(origins_of(kernel))) == [f"{array}_origin"]
    assert [o.label for o in origins_of(kernels.forward)] == ["x_max"]
    assert not isinstance(kernels.backward_staged, OriginKernel)
    assert not origins_of(kernels.jacobian)


def test_every_pass_of_every_kernel_is_proved() -> None:
    kernels = build_from_origins(derivation_of("softmax"))
    # forward has Z and y, backward, its staged form and jvp one result, the Jacobian u and R.
    assert kernels.proofs == 7 * 2 + 7 * 1 + 3 * 1 + 7 * 1 + 3 * 2
    assert build_second_order(derivation_of("softmax")).proofs == 7 * 2


def test_exp_is_of_nothing_but_what_is_left_of_x() -> None:
    for name in KERNELS:
        for assign in getattr(kernels_of(derivation_of("softmax")), name).program.assigns:
            for power in assign.expr.atoms(exp):
                assert labels(variables(power.args[0])) == ["x_shifted"]


def test_log_softmax_reads_what_it_may_from_origins_and_takes_no_logarithm_of_p() -> None:
    kernels = kernels_of(derivation_of("log_softmax"))
    assert labels(kernels.kept) == ["x_max", "Z_shifted"]
    for name, origins in (("forward", ["x_max"]), ("backward", []), ("jvp", ["x_dot_origin"])):
        kernel = getattr(kernels, name)
        assert labels(tuple(origins_of(kernel))) == origins, name
        for assign in kernel.program.assigns:
            of = [labels(variables(part)) for part in assign.expr.atoms(exp, log)]
            assert of in ([], [["x_shifted"]], [["Z_shifted"]]), assign


@pytest.mark.parametrize("wrong", [Pow(Z_shifted, -1), Pow(Z_shifted, 2), mul(2, Z_shifted)])
def test_another_logarithm_is_refused(wrong: Expr) -> None:
    def damaged(program: Program, derivation: Derivation) -> Program:
        right = take_logarithms_apart(read_from_origins(program, derivation), derivation)
        return everywhere(log(Z_shifted), expand_log(log(wrong)))(right)

    derivation = derivation_of("log_softmax")
    layer = derivation.layer
    with pytest.raises(CertificationError, match=r"^damaged changed y of log_softmax"):
        transform(lower(derivation).forward, (damaged,), derivation, restated=restated(layer))


def test_the_others_are_as_they_were() -> None:
    assert kernels_of(derivation_of("layer_norm")).kept


def test_no_element_is_divided() -> None:
    kernels = kernels_of(derivation_of("softmax"))
    for kernel in (kernels.forward, kernels.backward, kernels.jvp):
        for assign in kernel.program.assigns:
            whole = assign.target.axes == x.axes
            assert not (whole and any(p.exp.is_negative for p in assign.expr.atoms(Pow)))


def test_an_inverse_of_something_else_is_refused() -> None:
    def inverted(program: Program, derivation: Derivation) -> Program:
        return everywhere(Pow(Z_shifted, -1), Pow(Z_shifted, -2))(name_per_row(program, derivation))

    derivation = derive(SOFTMAX_Y)
    program = lower(derivation).backward
    passes = (read_from_origins, *PASSES, inverted)
    with pytest.raises(CertificationError, match=r"^inverted changed dx of softmax"):
        transform(program, passes, derivation, restated=restated(SOFTMAX_Y))


# --- What is not so is refused -------------------------------------------------------------------


def prove(name: str, damage: Callable[[Program], Program], layer: Layer = SOFTMAX_Y) -> int:
    """Lower a kernel, put it to rights and then damage it."""
    derivation = derive(layer)

    def read(program: Program, derivation: Derivation) -> Program:
        return damage(shift(program, derivation))

    textbook = name in ("backward_staged", "jacobian")
    shift = read_data_from_origin if textbook else read_from_origins
    passes = (read, *(TEXTBOOK if textbook else PASSES))
    program = getattr(lower(derivation), name)
    return transform(program, passes, derivation, restated=restated(layer))[1]


def unread(label: str) -> Callable[[Program], Program]:
    """One array is read from nothing, the rest as it was."""

    def damage(program: Program) -> Program:
        assigns = tuple(
            replace(a, expr=next(v for v in variables(a.expr) if v.axes == a.target.axes))
            if a.target.label == label
            else a
            for a in program.assigns
        )
        return replace(program, assigns=assigns)

    return damage


def added_back(origin: Var) -> Callable[[Program], Program]:
    return everywhere(mul(-1, origin), origin)


@pytest.mark.parametrize("name", KERNELS)
def test_exp_of_x_itself_is_not_exp_of_what_is_left(name: str) -> None:
    prove(name, lambda program: program)
    with pytest.raises(CertificationError, match=r"^read changed .* of softmax"):
        prove(name, unread("x_shifted"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("forward", added_back(x_max)),
        ("forward", everywhere(exp(Var("x_shifted", n, c)), exp(mul(2, Var("x_shifted", n, c))))),
        ("backward", added_back(x_max)),
        ("backward", everywhere(y, e)),
        ("backward_staged", added_back(x_max)),
        ("jacobian", added_back(x_max)),
    ],
)
def test_a_damage_is_refused(name: str, damage: Callable[[Program], Program]) -> None:
    with pytest.raises(CertificationError, match=r"^read changed .* of softmax"):
        prove(name, damage)


def test_dy_may_be_read_from_anything_and_may_not_vary_with_it() -> None:
    prove("backward", unread("dy_shifted"))
    prove("backward", added_back(dy_origin))
    shifted = Var("dy_shifted", n, c)
    with pytest.raises(CertificationError, match=r"^read changed dx of softmax"):
        prove("backward", everywhere(shifted, mul(2, shifted)))


def test_a_statistic_is_not_taken_for_that_of_shifted_data() -> None:
    derivation, (whole,) = derive(SOFTMAX_Y), restated(SOFTMAX_Y).values()
    same = {"Z": replace(whole, expr=SOFTMAX_Y["Z"].var)}
    program = lower(derivation).backward
    with pytest.raises(CertificationError, match=r"^read_from_origins changed dx of softmax"):
        transform(program, (read_from_origins,), derivation, restated=same)


def test_a_layer_that_the_shift_changes_has_no_such_kernel() -> None:
    """e^x / (1 + Σ e^x): the 1 is not shifted."""
    Z = SOFTMAX["Z"].var  # noqa: N806 - the layer's own name
    less = Layer(
        "less", "Less than all", "", x, (), (),
        (*SOFTMAX.definitions[:1], Definition(Z, add(1, SumOver(e, c))), Definition(y, e / Z)),
    )  # fmt: skip
    with pytest.raises(CertificationError, match=r"^read changed .* of less"):
        prove("forward", lambda program: program, less)
