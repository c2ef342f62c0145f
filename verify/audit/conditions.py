"""Conditions under which a formula may be right that is not right as it stands.

* a symbol has another meaning: the document's n is the number of elements, its σ² contains ε;
* a constant has a value that authors leave out: ε = 0, γ = 1, β = 0;
* two indices are the same, or they differ;
* there is one element only, m = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from derive.expr import Definition, Var, add, mul
from verify.audit.subjects import ITEMS, Subject


@dataclass(frozen=True)
class Condition:
    """``name`` is how a document declares it, ``says`` how a sentence does.

    One of the others tells what it is: the meaning of a symbol, values of constants, or whether two
    indices are the same; for one element, none does.
    """

    name: str
    says: str
    meaning: Definition | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    same: bool | None = None


def conventions(about: Subject) -> tuple[Condition, ...]:
    """Other meanings of symbols, for those that the layer has."""
    names = about.names
    found = [
        Condition(
            "n = k",
            "n, which divides, is the number of elements, k",
            Definition(ITEMS, about.rows.size),
        )
    ]
    var, eps, momentum = (names.get(label) for label in ("var", "eps", "momentum"))
    if isinstance(var, Var) and isinstance(eps, Var):
        found.append(
            Condition(
                "sigma^2 contains epsilon",
                "sigma^2 is the name of what others write as sigma^2 + epsilon",
                Definition(var, add(var, eps)),
            )
        )
    if isinstance(momentum, Var):
        found.append(
            Condition(
                "momentum of the old value",
                "the momentum weighs the old value, not the new one",
                Definition(momentum, add(1, mul(-1, momentum))),
            )
        )
    return tuple(found)


INDICES = (
    Condition("i = j", "the two indices are the same", same=True),
    Condition("i != j", "the two indices differ", same=False),
)


def _value(**values: int) -> Condition:
    name = ", ".join(f"{label} = {value}" for label, value in values.items())
    return Condition(name, name.replace(", ", " and "), values=values)


PARTIAL = Condition(
    "partial derivatives",
    "each derivative is that of one definition, with the other quantities in it held constant",
)
SINGLE = Condition("m = 1", "there is one element, m = 1")
VALUES = (
    _value(eps=0),
    _value(gamma=1),
    _value(beta=0),
    _value(eps=0, gamma=1),
    _value(gamma=1, beta=0),
)
