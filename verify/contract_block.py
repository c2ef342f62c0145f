"""The kernel contract for the block: linear layer, Batch Norm and activation.

Each clause is a function whose docstring is the promise, as in :mod:`verify.contract`, which runs
them; it raises ViolationError where the module breaks it.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.examiner import Examiner

CHANNELS, FEATURES, SAMPLES = 3, 4, 6
INPUTS = ("A", "W", "b", "gamma", "beta")
RESULTS = ("A_out", "dA", "dW", "db", "dgamma", "dbeta")
PLACEMENTS = ("before", "behind")
NAMES = ("identity", "relu", "sigmoid", "tanh")

Inputs = dict[str, Any]


def draw(examiner: Examiner, dtype: Any = np.float64, samples: int = SAMPLES) -> Inputs:
    """Random inputs, and the cotangent dA_out."""
    shapes: dict[str, tuple[int, ...]] = {"A": (FEATURES, samples), "W": (CHANNELS, FEATURES)}
    shapes |= dict.fromkeys(("b", "gamma", "beta"), (CHANNELS,))
    shapes["dA_out"] = (CHANNELS, samples)
    return {name: examiner.rng.normal(size=s).astype(dtype) for name, s in shapes.items()}


def compute(examiner: Examiner, given: Inputs, **options: Any) -> dict[str, Array]:
    """Every result by name."""
    inputs = {name: given[name] for name in INPUTS}
    out, cache = examiner.kernel.forward(**inputs, **options)
    gradients = examiner.kernel.backward(given["dA_out"], cache)
    return dict(zip(RESULTS, (out, *gradients), strict=True))


def same(examiner: Examiner, got: dict[str, Array], due: dict[str, Array], what: str) -> None:
    """Equal results but for the order of summation, and NaN where there is NaN."""
    for name, array in due.items():
        near = np.allclose(got[name], array, rtol=1e-11, atol=1e-11, equal_nan=True)
        examiner.hold(got[name].shape == array.shape and near, f"{name} differs: {what}")


# --- Calls ----------------------------------------------------------------------------------------


def signatures(examiner: Examiner) -> None:
    """forward(A, W, b, gamma, beta, *, activation, eps, placement) and backward(dA_out, cache)"""
    forward = inspect.signature(examiner.kernel.forward).parameters
    examiner.hold([*forward] == [*INPUTS, "activation", "eps", "placement"], "forward's names")
    only = [name for name, p in forward.items() if p.kind is p.KEYWORD_ONLY]
    examiner.hold(only == ["activation", "eps", "placement"], "what is keyword only")
    backward = inspect.signature(examiner.kernel.backward).parameters
    examiner.hold([*backward] == ["dA_out", "cache"], "backward's names")


def defaults(examiner: Examiner) -> None:
    """b, gamma and beta None mean 0, 1 and 0; activation, eps, placement: relu, 1e-5, before"""
    given = draw(examiner)
    plain = {"b": np.zeros(CHANNELS), "gamma": np.ones(CHANNELS), "beta": np.zeros(CHANNELS)}
    for placement in PLACEMENTS:
        due = compute(examiner, given | plain, placement=placement, activation="tanh")
        none = compute(
            examiner, given | dict.fromkeys(plain), placement=placement, activation="tanh"
        )
        same(examiner, none, due, f"None {placement} the activation")
    explicit = {"activation": "relu", "eps": 1e-5, "placement": "before"}
    same(examiner, compute(examiner, given), compute(examiner, given, **explicit), "defaults")


def bias_gradient(examiner: Examiner) -> None:
    """db is exactly zero before the activation, and the sum of dZ behind it"""
    given = draw(examiner)
    for name in NAMES:
        db = compute(examiner, given, activation=name)["db"]
        examiner.hold(not db.any(), f"db is {db} before {name}")
    behind = compute(examiner, given, activation="tanh", placement="behind")["db"]
    examiner.hold(bool(behind.all()), "db is zero behind tanh")


def functions_in_place_of_a_name(examiner: Examiner) -> None:
    """activation may be a tuple (g, slope), which see what they cannot write to"""
    given = draw(examiner)

    def writes(a: Array) -> Array:
        a[...] = 0
        return a

    for placement in PLACEMENTS:
        own = (np.tanh, lambda a: 1 - np.tanh(a) ** 2)
        due = compute(examiner, given, activation="tanh", placement=placement)
        got = compute(examiner, given, activation=own, placement=placement)
        same(examiner, got, due, f"tanh as functions, {placement}")
        step = (lambda a: np.maximum(a, 0), lambda a: a > 0)
        due = compute(examiner, given, activation="relu", placement=placement)
        got = compute(examiner, given, activation=step, placement=placement)
        same(examiner, got, due, f"relu as functions, {placement}")

        def using(g: Any, slope: Any, placement: str = placement) -> Callable[[], Any]:
            own = (g, slope)
            return partial(compute, examiner, given, activation=own, placement=placement)

        shape, other = str((CHANNELS, SAMPLES)), str((CHANNELS,))
        first = using(lambda a: a[:, 0], np.cos)
        examiner.refuses(ValueError, "a g that is not elementwise", first, mentions=(shape, other))
        second = using(np.sin, lambda a: a[:, 0])
        examiner.refuses(
            ValueError, "a slope that is not elementwise", second, mentions=(shape, other)
        )
        third = using(lambda a: a + 0j, np.cos)
        examiner.refuses(TypeError, "a complex g", third, mentions=("complex128",))
        examiner.refuses(
            ValueError, "a g that writes to its argument", using(writes, np.cos), mentions=()
        )


def what_is_no_choice(examiner: Examiner) -> None:
    """an unknown activation or placement is ValueError; what is neither name nor functions, a
    cache or a real eps is TypeError"""
    given = draw(examiner)
    wrong: tuple[tuple[str, Any, type[Exception], tuple[str, ...]], ...] = (
        ("activation", "swish", ValueError, ("'swish'", *NAMES)),
        ("activation", np.tanh, TypeError, ("tanh",)),
        ("activation", (np.tanh,), TypeError, ("tanh",)),
        ("activation", (np.tanh, 1.0), TypeError, ("1.0",)),
        ("activation", None, TypeError, ("None",)),
        ("placement", "after", ValueError, ("'after'", *PLACEMENTS)),
        ("eps", "small", TypeError, ("'small'",)),
        ("eps", None, TypeError, ("None",)),
        ("eps", True, TypeError, ("True",)),
    )
    for name, value, error, words in wrong:
        call = partial(compute, examiner, given, **{name: value})
        examiner.refuses(error, f"{name}={value!r}", call, mentions=words)
    backward = examiner.kernel.backward
    no_cache: Any = (given["A"], given["W"])
    examiner.refuses(
        TypeError, "no cache", backward, given["dA_out"], no_cache, mentions=("tuple",)
    )


def cache(examiner: Examiner) -> None:
    """the cache stays valid when A_out, b, gamma and beta are changed; backward may be repeated"""
    for placement in PLACEMENTS:
        for name in NAMES:
            given = draw(examiner)
            due = compute(examiner, given, activation=name, placement=placement)
            inputs = {label: given[label] for label in INPUTS}
            out, kept = examiner.kernel.forward(**inputs, activation=name, placement=placement)
            for changed in (out, given["b"], given["gamma"], given["beta"]):
                changed[...] = 7
            for _ in range(2):
                gradients = examiner.kernel.backward(given["dA_out"], kept)
                got = dict(zip(RESULTS[1:], gradients, strict=True))
                for array in gradients:
                    examiner.hold(array.flags.writeable, "a gradient is read-only")
                due.pop("A_out", None)
                same(examiner, got, due, f"{placement} {name}, inputs changed")
                for array in gradients:
                    array[...] = 7


# --- Arrays ---------------------------------------------------------------------------------------


def dtypes(examiner: Examiner) -> None:
    """results have the dtype of A, whatever float the others are"""
    for kind in _floats():
        given = draw(examiner, kind)
        for other in (kind, np.float64):
            mixed = {n: v if n in ("A", "dA_out") else v.astype(other) for n, v in given.items()}
            for placement in PLACEMENTS:
                found = compute(examiner, mixed, placement=placement)
                for name, array in found.items():
                    shape = (CHANNELS,) if name in ("db", "dgamma", "dbeta") else array.shape
                    examiner.like(array, shape, kind, f"{name}, A is {np.dtype(kind)}")


def _floats() -> Iterator[Any]:
    yield from (np.float16, np.float32, np.float64)
    try:
        import ml_dtypes
    except ImportError:
        return
    yield ml_dtypes.bfloat16


def other_dtypes(examiner: Examiner) -> None:
    """integers, bools, complex numbers and objects are TypeError naming the dtype"""
    given = draw(examiner)
    for name in (*INPUTS, "dA_out"):
        for kind in (np.int64, np.bool_, np.complex128, np.object_):
            wrong = given | {name: np.ones(given[name].shape, kind)}
            words = (name, str(np.dtype(kind)))
            call = partial(compute, examiner, wrong)
            examiner.refuses(TypeError, f"{name} of {np.dtype(kind)}", call, mentions=words)


def shapes(examiner: Examiner) -> None:
    """a shape that does not fit is ValueError naming both"""
    given = draw(examiner)
    wrong: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
        ("A", (FEATURES + 1, SAMPLES), (CHANNELS, FEATURES)),
        ("A", (FEATURES,), (CHANNELS, FEATURES)),
        ("A", (FEATURES, SAMPLES, 1), (CHANNELS, FEATURES)),
        ("W", (FEATURES,), (FEATURES, SAMPLES)),
        ("W", (CHANNELS, FEATURES + 1), (FEATURES, SAMPLES)),
        *((name, shape, (CHANNELS,)) for name in INPUTS[2:] for shape in ((), (1,), (CHANNELS, 1))),
        ("dA_out", (SAMPLES, CHANNELS), (CHANNELS, SAMPLES)),
        ("dA_out", (CHANNELS, 1), (CHANNELS, SAMPLES)),
    )
    for name, shape, other in wrong:
        bad = given | {name: np.ones(shape)}
        call = partial(compute, examiner, bad)
        examiner.refuses(
            ValueError, f"{name} of {shape}", call, mentions=(name, str(shape), str(other))
        )


def layouts(examiner: Examiner) -> None:
    """any strides and byte order; inputs are never written to"""
    for placement in PLACEMENTS:
        given = draw(examiner)
        due = compute(examiner, given, placement=placement, activation="sigmoid")
        for what, lay in _LAYOUTS.items():
            laid = {name: lay(value) for name, value in given.items()}
            copies = {name: value.copy() for name, value in laid.items()}
            for value in laid.values():
                value.flags.writeable = False
            got = compute(examiner, laid, placement=placement, activation="sigmoid")
            same(examiner, got, due, f"{what}, {placement}")
            for name, value in laid.items():
                kept = np.array_equal(value, copies[name])
                examiner.hold(kept, f"{name} was written to: {what}")


_LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C order": lambda array: array.copy(),
    "Fortran order": lambda array: array.copy(order="F"),
    "negative strides": lambda array: array[::-1].copy()[::-1],
    "a slice": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
}


# --- Edges ----------------------------------------------------------------------------------------


def sizes(examiner: Examiner) -> None:
    """no samples, features or channels: empty or constant A_out, zero parameter gradients"""
    for channels, features, samples in ((3, 4, 0), (0, 4, 5), (3, 0, 5), (0, 0, 0)):
        given = {
            "A": np.ones((features, samples)),
            "W": np.ones((channels, features)),
            "dA_out": np.ones((channels, samples)),
            **dict.fromkeys(INPUTS[2:]),
        }
        for placement in PLACEMENTS:
            found = compute(examiner, given, placement=placement, activation="tanh")
            expected = [(channels, samples), (features, samples), (channels, features)]
            for (name, array), shape in zip(found.items(), expected, strict=False):
                examiner.like(array, shape, np.float64, f"{name}, {samples} samples")
            if samples == 0:
                quiet = all(not found[name].any() for name in RESULTS[2:])
                examiner.hold(quiet, "a gradient of no samples is not zero")


def one_sample(examiner: Examiner) -> None:
    """m = 1: A_out = g(beta) before the activation and beta behind it; dA and dW are zero"""
    given = draw(examiner, samples=1)
    for placement in PLACEMENTS:
        found = compute(examiner, given, placement=placement, activation="tanh")
        beta = given["beta"][:, None]
        due = np.tanh(beta) if placement == "before" else beta
        examiner.hold(np.allclose(found["A_out"], due), f"A_out {placement} tanh, m = 1")
        for name in ("dA", "dW", "db", "dgamma"):
            examiner.hold(not found[name].any(), f"{name} is not zero, m = 1, {placement}")


def eps_as_given(examiner: Examiner) -> None:
    """eps is used as given, zero and large ones too"""
    given = draw(examiner)
    z = given["W"] @ given["A"] + given["b"][:, None]
    for placement, seen in (("before", z), ("behind", np.tanh(z))):
        centred = seen - seen.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True)
        for eps in (0.0, 1e-13, 0.5, np.float32(2.0), 3):
            hat = centred / np.sqrt(variance + float(eps))
            due = given["gamma"][:, None] * hat + given["beta"][:, None]
            due = np.tanh(due) if placement == "before" else due
            got = compute(examiner, given, eps=eps, placement=placement, activation="tanh")
            examiner.hold(np.allclose(got["A_out"], due, rtol=1e-11, atol=0), f"eps = {eps!r}")


def nan_stays(examiner: Examiner) -> None:
    """NaN in W, b, gamma or beta stays in its channel of A_out and of the parameters' gradients"""
    for placement in PLACEMENTS:
        given = draw(examiner)
        due = compute(examiner, given, activation="tanh", placement=placement)
        for name in INPUTS[1:]:
            bad = given[name].copy()
            bad[1] = np.nan
            got = compute(examiner, given | {name: bad}, activation="tanh", placement=placement)
            hit = np.isnan(got["A_out"][1]).all()
            examiner.hold(bool(hit), f"NaN in {name} does not show in A_out")
            others = {k: np.delete(due[k], 1, axis=0) for k in RESULTS if k != "dA"}
            same(
                examiner,
                {k: np.delete(got[k], 1, axis=0) for k in others},
                others,
                f"NaN in channel 1 of {name} leaves it",
            )


def no_warnings(examiner: Examiner) -> None:
    """no warning escapes, whatever the numbers"""
    huge = draw(examiner, np.float32)
    huge = {name: (value * 3e38).astype(np.float32) for name, value in huge.items()}
    half = {name: np.full(value.shape, 6e4, np.float16) for name, value in huge.items()}
    nan = draw(examiner)
    nan["A"][0, 0] = np.nan
    infinite = draw(examiner)
    infinite["A"][0, 0] = np.inf
    empty = draw(examiner, samples=0)
    constant = draw(examiner)
    constant["A"][...] = 1
    wide = draw(examiner)
    wide["beta"] *= 1e5  # exp overflows
    wide["b"] += 1e5
    cases = (huge, half, nan, infinite, empty, constant, wide)
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        for given in cases:
            for placement in PLACEMENTS:
                for name in NAMES:
                    compute(examiner, given, activation=name, placement=placement, eps=0.0)
                    examiner.cases += 1


BLOCK_CLAUSES: tuple[Callable[[Examiner], None], ...] = (
    signatures,
    defaults,
    bias_gradient,
    functions_in_place_of_a_name,
    what_is_no_choice,
    cache,
    dtypes,
    other_dtypes,
    shapes,
    layouts,
    sizes,
    one_sample,
    eps_as_given,
    nan_stays,
    no_warnings,
)
