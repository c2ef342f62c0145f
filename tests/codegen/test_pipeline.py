"""A pass that changes what a program computes is refused, whatever it does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from sympy import Expr, Integer, Pow

from codegen.ir import Assign, Program
from codegen.names import CENTRE, REST
from codegen.passes import PASSES, ProgramPass, centre_data, collect_sums, hoist, name_roots
from codegen.pipeline import TEXTBOOK, build, transform
from derive.derivation import Derivation
from derive.expr import Axis, Delta, SumOver, Var, add, mul, rebuild
from derive.layers.batch_norm import c, eps, gamma, n, x_hat
from derive.trace import CertificationError
from tests.codegen.machine import kernels_of
from tests.derive.statements import derivation_of

Damage = Callable[[Program], Program]
m = n.size


@dataclass(frozen=True)
class Corruption:
    """What a broken ``rewrite`` does to one kernel, on top of what it should do."""

    name: str
    rewrite: ProgramPass
    kernel: str
    damage: Damage
    layer: str = "batch_norm"


# --- Damages -------------------------------------------------------------------------------------


def replaced(expr: Expr, old: Expr, new: Expr) -> Expr:
    """``old`` and ``new`` as they stand, nothing sorted or multiplied out."""
    if expr == old:
        return new
    if isinstance(expr, Var | Delta) or not expr.args:
        return expr
    if isinstance(expr, SumOver):
        total: Expr = SumOver(replaced(expr.body, old, new), *expr.axes)
        return total
    return rebuild(expr, [replaced(arg, old, new) for arg in expr.args])


def everywhere(old: Expr, new: Expr) -> Damage:
    def damage(program: Program) -> Program:
        assigns = tuple(replace(a, expr=replaced(a.expr, old, new)) for a in program.assigns)
        return replace(program, assigns=assigns)

    return damage


def at(label: str, change: Callable[[Expr], Expr]) -> Damage:
    """Another right-hand side for one assignment."""

    def damage(program: Program) -> Program:
        assigns = [replace(a, expr=change(a.expr)) if a.target.label == label else a
                   for a in program.assigns]  # fmt: skip
        return replace(program, assigns=tuple(assigns))

    return damage


def without_term(k: int) -> Callable[[Expr], Expr]:
    return lambda expr: add(*(term for j, term in enumerate(expr.args) if j != k))


def flipped(k: int) -> Callable[[Expr], Expr]:
    return lambda expr: add(*(mul(-1, t) if j == k else t for j, t in enumerate(expr.args)))


def swapped(program: Program) -> Program:
    """The centre of the data and the rest of the mean, each under the other's name."""
    other = {CENTRE: Var(REST, c), REST: Var(CENTRE, c)}

    def visit(expr: Expr) -> Expr:
        if isinstance(expr, Var):
            return other.get(expr.label, expr)
        return rebuild(expr, [visit(arg) for arg in expr.args]) if expr.args else expr

    assigns = tuple(Assign(visit(a.target), visit(a.expr), a.note) for a in program.assigns)
    return replace(program, assigns=assigns)


def forgotten(label: str) -> Damage:
    return lambda program: replace(
        program, results=tuple(v for v in program.results if v.label != label)
    )


def added(result: Var) -> Damage:
    return lambda program: replace(program, results=(*program.results, result))


def dropped(label: str) -> Damage:
    return lambda program: replace(
        program, assigns=tuple(a for a in program.assigns if a.target.label != label)
    )


def backwards(program: Program) -> Program:
    return replace(program, assigns=program.assigns[::-1])


inv_std = Var("inv_root_var", c, positive=True)
x_hat_j = x_hat.at(n.prime(), c)
sum_dy, sum_dy_xhat = Var("sum_dy", c), Var("sum_dy_xhat", c)
dy, beta_dot = (
    Var("dy", n, c, role="adjoint", of="y"),
    Var("beta_dot", c, role="tangent", of="beta"),
)

CORRUPTIONS = (
    Corruption("a term is dropped", centre_data, "forward", at("var", without_term(1))),
    Corruption("a sign is flipped", centre_data, "forward", at("var", flipped(1))),
    Corruption("the rest is forgotten", centre_data, "forward", at("x_centred", without_term(2))),
    Corruption("the rest is added", centre_data, "backward", at("x_centred", flipped(2))),
    Corruption("centre and rest are swapped", centre_data, "forward", swapped),
    Corruption("m becomes m - 1", centre_data, "forward", everywhere(m, m - 1)),
    Corruption("the root is lost", name_roots, "forward", at("inv_root_var", lambda e: e**2)),
    Corruption("a root for another", name_roots, "backward", everywhere(inv_std, inv_std**3)),
    Corruption("2 becomes 1", name_roots, "backward_staged", everywhere(Integer(2), Integer(1))),
    Corruption("one name for two sums", collect_sums, "backward", everywhere(sum_dy_xhat, sum_dy)),
    Corruption("an axis too many", collect_sums, "backward", at("sum_dy", lambda e: e.body)),
    Corruption("a factor leaves its sum", collect_sums, "backward",
               at("sum_dy_xhat", lambda e: mul(x_hat, SumOver(dy, n)))),
    Corruption("the wrong axis is summed", collect_sums, "backward",
               at("dbeta", lambda e: Var("sum_dy_gamma", Axis("n", "N"))), "layer_norm"),
    Corruption("a sum is a mean", collect_sums, "backward",
               at("sum_dy", lambda e: mul(e, Pow(m, -1)))),
    Corruption("m becomes m + 1", hoist, "backward", everywhere(m, m + 1)),
    Corruption("gamma is forgotten", hoist, "backward", everywhere(gamma, Integer(1))),
    Corruption("what varies is hoisted", hoist, "backward", at("u", lambda e: mul(e, x_hat))),
    Corruption("a tangent is dropped", hoist, "jvp", everywhere(beta_dot, Integer(0))),
    Corruption("x_hat is dropped", hoist, "jvp", everywhere(x_hat, Integer(1))),
    Corruption("the diagonal is forgotten", name_roots, "jacobian",
               everywhere(Delta(n, n.prime()), Integer(0))),
    Corruption("an index for another", name_roots, "jacobian", everywhere(x_hat_j, x_hat)),
    Corruption("exp is forgotten", collect_sums, "forward",
               at("e", lambda e: e.args[0]), "softmax"),
    Corruption("a result is invented", collect_sums, "backward", added(sum_dy)),
    Corruption("the order is reversed", hoist, "backward", backwards),
    Corruption("a result is forgotten", collect_sums, "backward", forgotten("dgamma")),
    Corruption("a statistic is forgotten", name_roots, "forward", forgotten("var")),
    Corruption("the rest is not kept", centre_data, "forward", forgotten(REST)),
    Corruption("a value is never made", hoist, "backward", dropped("x_hat")),
    Corruption("eps is forgotten", name_roots, "forward", everywhere(eps, Integer(0))),
)  # fmt: skip


def attempt(corruption: Corruption, damage: Damage) -> None:
    """The kernel's passes, with the damage done after one of them."""

    def broken(program: Program, derivation: Derivation) -> Program:
        return damage(corruption.rewrite(program, derivation))

    textbook = corruption.kernel in ("backward_staged", "jacobian")
    passes = TEXTBOOK if textbook else PASSES
    assert corruption.rewrite in passes
    transform(
        kernels_of(corruption.layer)[corruption.kernel],
        tuple(broken if rewrite is corruption.rewrite else rewrite for rewrite in passes),
        derivation_of(corruption.layer),
    )


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_a_corrupted_pass_is_refused(corruption: Corruption) -> None:
    def damage(program: Program) -> Program:
        damaged = corruption.damage(program)
        assert damaged != program
        return damaged

    attempt(corruption, lambda program: program)
    with pytest.raises(CertificationError, match=f"^broken .* of {corruption.layer}"):
        attempt(corruption, damage)


def test_a_rewriting_that_keeps_the_value_is_accepted() -> None:
    """Values are compared, not texts: a sum that is not shared is only slower."""
    unshared = at("dbeta", lambda _: SumOver(dy, n))
    attempt(Corruption("none", collect_sums, "backward", unshared), unshared)


def test_the_proof_holds_for_any_centre() -> None:
    """The centre is whatever rounding makes of the mean, so its own value is not asked for."""
    other = at("centre", lambda e: mul(Integer(7), e))
    attempt(Corruption("none", centre_data, "forward", other), other)


def test_build_counts_its_proofs_and_schedules_all_but_the_textbook_forms() -> None:
    kernels = build(derivation_of("batch_norm"))
    lowered = kernels_of("batch_norm")
    assert [v.label for v in kernels.kept] == [CENTRE, REST, "var", "inv_root_var"]
    scheduled = {name for name in lowered if getattr(kernels, name).passes}
    assert scheduled == {"forward", "backward", "jvp"}
    # forward has the rest, var and y, and from the second pass on the root; the centre is free.
    assert kernels.proofs == (3 + 4 + 4 + 4) + 4 * 3 + 2 * 3 + 4 * 1 + 2 * 2
