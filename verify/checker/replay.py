"""Replays a certificate, from nothing but its JSON and the files beside this one.

The claim is: *these closed forms are the gradients of these definitions, for every size*.  What is
checked, and why it is enough:

* A **coordinate** replaces a quantity by what equals it: σ² by r⁻² − ε where r = (σ²+ε)^(-1/2)
  (the base is linear in σ² and becomes r⁻²), x by μ + x̂/r (with the definition of x̂ written out
  this is x again), y by its definition.
* An **identity** Σf = v is read off a definition s = e: factor·(Σf − v) = e − s in coordinates, and
  the factor has a sign.
* A **gradient** is how the loss responds.  The definitions are differentiated *forwards*, by the
  sum, product and power rules and a table of slopes: v̇ from the tangents before it.  A closed form
  g is ∂ℓ/∂v exactly if Σ dy·ẏ = Σ g·v̇ for every v̇, and v̇ is a free symbol here.  For a quantity
  that is itself defined, those before it stand still.  No reverse mode is trusted, or written.
* An entry of the **Jacobian** is the tangent for ẋ = δ.
* A **step** says before = after, a **fact** left = right: equal normal forms.  Each step begins
  with the very formula that the one before it ended with.

Trusted: the files of this folder, and of Python json, re, fractions, itertools and the like.
Assumed: the signs that a certificate gives to inputs (each must be needed), and that where a
formula is used its denominators are not 0 and its radicands positive.  docs/certificates.md
describes the format, and says which fields are for readers only.
"""

from __future__ import annotations

from typing import Any

from verify.checker.formulas import (
    LARGEST,
    NAME,
    NONNEGATIVE,
    POSITIVE,
    Names,
    free,
    minus,
    power,
    summed,
    tangent,
    whole,
)
from verify.checker.sums import Identity, Known, Sums
from verify.checker.terms import Expr, ProofError

FORMAT, VERSION = "backnorm certificate", 1
FIELDS = (
    *("format", "version", "layer", "title", "source", "axes", "inputs", "parameters"),
    *("definitions", "coordinates", "identities", "gradients", "tangent", "jacobian"),
    *("facts", "counts"),
)
SIGNS = {"positive": POSITIVE, "nonnegative": NONNEGATIVE}


class FormatError(ValueError):
    """Other data, or a version of the format that this checker does not know."""


def check(data: Any, sums: type[Sums] = Sums) -> Checker:
    """Replay every claim.  Raises ProofError at the first that does not hold, with its name, and
    FormatError for what is no certificate."""
    checker = replayed(data, sums)
    if idle := sorted(set(checker.names.given) - checker.names.needed):
        raise ProofError(f"inputs: no proof needs the sign of {', '.join(idle)}")
    return checker


def replayed(data: Any, sums: type[Sums] = Sums) -> Checker:
    """The same, where signs may be given that no proof needs."""
    checker = Checker(sums)
    try:
        checker.replay(data)
    except ProofError as error:
        raise ProofError(f"{checker.where}: {error}") from error
    except (RecursionError, OverflowError):
        raise ProofError(f"{checker.where}: it goes round in circles, or too far") from None
    return checker


class Checker:
    """``where`` names the claim that is being looked at, ``proved`` counts equalities."""

    def __init__(self, sums: type[Sums]) -> None:
        self.where = "certificate"
        self.proved = self.steps = 0
        self.inputs: list[str] = []
        self.conditions: list[Expr] = []  # what is taken to be positive
        self.gradients: dict[str, Expr] = {}  # closed forms, by what they are gradients of
        self.names = Names({})
        self.sums = sums(self.names.sizes, lambda name: self.names.sign(("var", name)) == POSITIVE)

    @property
    def output(self) -> str:
        return list(self.names.defined)[-1]

    def replay(self, data: Any) -> None:
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise FormatError(f"it is no {FORMAT}")
        if type(data.get("version")) is not int or data["version"] != VERSION:
            raise FormatError(f"its version is {data.get('version')!r}; this reads {VERSION}")
        fields(data, *FIELDS)
        self._axes(data["axes"])
        for kind in ("inputs", "parameters"):
            for node in items(data[kind]):
                self._input(node)
        self.inputs = [node["name"] for node in data["inputs"]]
        for node in items(data["definitions"]):
            self._definition(node)
        if not self.inputs or not self.names.defined:
            raise ProofError("there is nothing to differentiate")
        for node in items(data["coordinates"]):
            self._coordinate(node)
        for node in items(data["identities"]):
            self._identity(node)
        self._declare("d{}")
        self._gradients(items(data["gradients"]))
        self._declare("{}_dot")  # from here on: no gradient may depend on a tangent
        self.sums = self.sums.knowing(self._tangents([*self.inputs]))
        self._forward(data["tangent"], self.output, "tangent of ", self.sums)
        if data["jacobian"] is not None:
            self._jacobian(data["jacobian"])
        for number, node in enumerate(items(data["facts"]), start=1):
            self._fact(node, f"fact {number}")
        self._ends(data)

    def _equal(self, left: Expr, right: Expr, sums: Sums | None = None) -> None:
        """Raise unless both sides are equal for every size."""
        if not (sums or self.sums).zero(("add", left, minus(right))):
            raise ProofError("the two sides are not equal")
        self.proved += 1

    def _knowing(self, name: str, expr: Expr) -> Sums:
        """The normal form with one more to replace."""
        return self.sums.knowing({name: (self.names.indices[name], expr)})

    # --- What is stated -----------------------------------------------------------------------

    def _axes(self, axes: Any) -> None:
        self.where = "axes"
        if not isinstance(axes, dict) or not all(isinstance(s, str) for s in axes.values()):
            raise ProofError("each axis has the name of its size")
        names = [*axes, *set(axes.values())]
        if len(set(names)) < len(names) or not all(NAME.fullmatch(name) for name in names):
            raise ProofError("names of axes and sizes are letters and digits, each used once")
        self.names.sizes.update(axes)

    def _input(self, node: Any) -> None:
        self.where = "inputs"
        name, indices, sign = fields(node, "name", "indices", "sign")
        self.where = f"input {name}"
        self.names.declare(name, indices)
        if sign is not None:
            if not isinstance(sign, str) or sign not in SIGNS:
                raise ProofError(f"{sign!r} is no sign")
            self.names.given[name] = SIGNS[sign]

    def _definition(self, node: Any) -> None:
        self.where = "definitions"
        name, indices, value, _ = fields(node, "name", "indices", "is", "note")
        self.where = f"definition of {name}"
        expr = self.names.expr(value)
        self.names.declare(name, indices)
        if free(expr) != set(self.names.indices[name]):
            raise ProofError("the right-hand side varies with other indices")
        self.names.defined[name] = expr

    def _declare(self, name: str) -> None:
        """dv or v_dot, over the indices of v."""
        for of in [*self.inputs, *self.names.defined]:
            self.names.declare(name.format(of), [*self.names.indices[of]])

    def _defined(self, node: Any) -> str:
        if self.names.known(node) not in self.names.defined:
            raise ProofError(f"{node} is not defined")
        return str(node)

    # --- Coordinates and identities -----------------------------------------------------------

    def _coordinate(self, node: Any) -> None:
        self.where = "coordinates"
        kind = node.get("kind") if isinstance(node, dict) else None
        if kind == "root":
            self._root(node)
        elif kind == "solved":
            self._solved(node)
        elif kind in ("unfolded", "named"):
            name = self._defined(fields(node, "kind", "of")[1])
            self.where = f"coordinate {name}"
            value = self.names.defined[name]
            if kind == "unfolded":
                self._replace(name, value)
            else:
                self._named(name, value)
        else:
            raise ProofError(f"{kind!r} is no kind of coordinate")

    def _replace(self, name: str, expr: Expr) -> None:
        if name in self.sums.equal:
            raise ProofError("it is replaced already")
        self.sums = self._knowing(name, expr)

    def _named(self, name: str, value: Expr) -> None:
        """f(v) is called by the name that it was given."""
        of = value[2] if isinstance(value, tuple) and value[0] == "fn" else None
        if not isinstance(of, tuple) or of[0] != "var" or len(set(of[2:])) < len(of[2:]):
            raise ProofError("it is not defined as a function of a quantity")
        self.sums.named[value[1], of[1]] = of[2:], self.names.var(name)

    def _solved(self, node: Any) -> None:
        """``of`` is ``by``, with the definition of ``through`` written out in it."""
        _, of, by, through = fields(node, "kind", "of", "by", "through")
        self.where = f"coordinate {of}"
        expr = self.names.within(self.names.expr(by), self.names.known(of))
        written = self._knowing(self._defined(through), self.names.defined[through])
        self._equal(expr, self.names.var(of), written)
        self._replace(of, expr)

    def _root(self, node: Any) -> None:
        """root := base^(-1/degree) eliminates ``of``: times·(of − by) = base − root^-degree."""
        names = ("kind", "root", "indices", "base", "degree", "of", "by", "times", "condition")
        _, root, indices, base, degree, of, by, times, condition = fields(node, *names)
        self.where = f"coordinate {root}"
        under, factor = self.names.expr(base), self.names.expr(times)
        self.names.declare(root, indices)
        own = set(self.names.indices[root])
        if not free(under) == own == set(self.names.indices[self.names.known(of)]):
            raise ProofError("the root, its base and the quantity vary with different indices")
        always = self.names.sign(under) == POSITIVE
        if condition != (None if always else "the base is positive"):
            raise ProofError(f"the base is {'' if always else 'not '}always positive")
        if not always:
            self.conditions.append(under)
        if isinstance(factor, tuple) or not factor or not 1 < whole(degree) <= LARGEST:
            raise ProofError("the factor is a number other than 0, the degree is 2 or more")
        self.names.positive.add(root)
        expr = self.names.within(self.names.expr(by), of)
        difference = ("mul", factor, ("add", self.names.var(of), minus(expr)))
        self._equal(difference, ("add", under, minus(power(self.names.var(root), -degree))))
        self._replace(of, expr)

    def _identity(self, node: Any) -> None:
        """times·(sum − is) = the definition of ``of``, less that."""
        self.where = "identities"
        of, total, value, times = fields(node, "of", "sum", "is", "times")
        self.where = f"identity of {of}"
        left, right, factor = (self.names.expr(part) for part in (total, value, times))
        rest = ("add", self.names.defined[self._defined(of)], minus(self.names.var(of)))
        self._equal(("mul", factor, ("add", left, minus(right))), rest)
        if POSITIVE not in (self.names.sign(factor), self.names.sign(minus(factor))):
            raise ProofError("the factor may be 0")
        found = self.sums.poly(left)
        if len(found) != 1 or not free(right) <= free(left):
            raise ProofError("it is of one sum, and its value varies with no other index")
        (((bound, factors), number),) = found.items()
        if not bound:
            raise ProofError("it is of no sum")
        self.sums.identities.append(Identity(bound, dict(factors), ("mul", 1 / number, right)))

    # --- Derivatives --------------------------------------------------------------------------

    def _tangents(self, moving: list[str]) -> dict[str, Known]:
        """v_dot of everything that is not itself moved, by the chain rule forwards."""
        moved = set(moving)
        rates: dict[str, Known] = {}
        for name in (*self.inputs, *self.names.defined):
            if name not in moving:
                rate = tangent(self.names.defined.get(name, 0), moved)
                rates[f"{name}_dot"] = self.names.indices[name], rate
                moved.add(name)
        return rates

    def _gradients(self, nodes: list[Any]) -> None:
        """One for each input and each definition but the last, each in terms of those before."""
        wanted = [name for name in (*self.names.defined, *self.inputs) if name != self.output]
        for node in nodes:
            self.where = "gradients"
            name = node.get("of") if isinstance(node, dict) else None
            if name not in wanted:
                raise ProofError(f"{name!r} has a gradient already, or gets none")
            wanted.remove(name)
            _, closed = self._chain(node, name, "gradient of ", self.sums)
            moving = self.sums.knowing(self._tangents([name]))
            self._equal(
                self._paired(self.names.var(f"d{self.output}"), self.output),
                self._paired(self.names.within(closed, name), name),
                moving,
            )
            self._replace(f"d{name}", closed)
            self.gradients[name] = closed
        self.where = "gradients"
        if wanted:
            raise ProofError(f"there is none for {', '.join(wanted)}")

    def _paired(self, cotangent: Expr, name: str) -> Expr:
        """Σ cotangent · v_dot over the indices of v."""
        own = self.names.indices[name]
        return summed(("mul", cotangent, ("var", f"{name}_dot", *own)), own)

    def _chain(self, node: Any, name: str, what: str, sums: Sums) -> tuple[Expr, Expr]:
        """The start and the closed form of a result, and every step between them."""
        self.where = f"{what}{name}"
        of, start, steps, closed = fields(node, "of", "start", "steps", "closed")
        if of != name:
            raise ProofError(f"it is said to be of {of!r}")
        last = self._steps(start, steps, sums)
        self.where = f"{what}{name}, closed form"
        if closed != last:
            raise ProofError("it is not what the last step ended with")
        return self.names.expr(start), self.names.expr(closed)

    def _steps(self, last: Any, steps: Any, sums: Sums) -> Any:
        """Each step from where the one before it ended; where the last one ends."""
        what = self.where
        for number, step in enumerate(items(steps), start=1):
            self.where = f"{what}, step {number}"
            rule, _, before, after = fields(step, "rule", "why", "before", "after")
            self.where += f" ({rule})"
            if before != last:
                raise ProofError("it does not begin where the one before it ended")
            self._equal(self.names.expr(before), self.names.expr(after), sums)
            self.steps += 1
            last = after
        return last

    def _fact(self, node: Any, what: str) -> None:
        """left = right, by its steps if there are any."""
        self.where = what
        _, left, steps, right = fields(node, "says", "left", "steps", "right")
        last = self._steps(left, steps, self.sums)
        self.where = what
        if steps and right != last:
            raise ProofError("its right-hand side is not what the last step ended with")
        self._equal(self.names.expr(left), self.names.expr(right))

    def _forward(self, node: Any, name: str, what: str, sums: Sums) -> Expr:
        """A tangent, from what the checker's own differentiation gives to the closed form."""
        start, closed = self._chain(node, name, what, sums)
        self.where = f"{what}{name}, start"
        self._equal(self.names.var(f"{name}_dot"), start, sums)
        return closed

    def _jacobian(self, node: Any) -> None:
        """∂v/∂x of every v that varies with x, and u·R for the last."""
        self.where = "jacobian"
        wrt, columns, entries, u, matrix = fields(node, "wrt", "columns", "entries", "u", "R")
        if wrt not in self.inputs or not isinstance(columns, dict) or not columns:
            raise ProofError("it is taken with respect to an input, at other indices")
        deltas = [self.names.expr(["delta", row, column]) for row, column in columns.items()]
        own = set(self.names.indices[wrt])
        if not set(columns) <= own or set(columns.values()) & own:
            raise ProofError(f"its rows are indices of {wrt}, its columns others")
        sums = self._knowing(f"{wrt}_dot", ("mul", 1, *deltas)).knowing(self._tangents([wrt]))
        names = [n for n in self.names.defined if not sums.zero(self.names.var(f"{n}_dot"))]
        if names[-1:] != [self.output] or len(items(entries)) != len(names):
            raise ProofError(f"entries are wanted of {', '.join(names)}")
        for name, entry in zip(names, entries, strict=True):
            closed = self._forward(entry, name, f"derivative by {wrt} of ", sums)
        for factor, label in ((u, "u"), (matrix, "R")):
            self.where = f"jacobian, {label}"
            indices, value = fields(factor, "indices", "is")
            expr = self.names.expr(value)
            self.names.declare(label, indices)
            self._replace(label, self.names.within(expr, label))
        self.where = "jacobian"
        self._equal(closed, ("mul", self.names.var("u"), self.names.var("R")))

    def _ends(self, data: dict[str, Any]) -> None:
        """Nothing was left out."""
        self.where = "counts"
        kinds = ("definitions", "coordinates", "identities", "gradients", "facts")
        found = {**{kind: len(data[kind]) for kind in kinds}, "steps": self.steps}
        if data["counts"] != found:
            raise ProofError(f"there are {found}")


def fields(node: Any, *names: str) -> list[Any]:
    """The values of a JSON object that has exactly these fields."""
    if not isinstance(node, dict) or set(node) != set(names):
        raise ProofError(f"it must have the fields {', '.join(names)}, no more and no fewer")
    return [node[name] for name in names]


def items(node: Any) -> list[Any]:
    if not isinstance(node, list):
        raise ProofError("a list is wanted")
    return node
