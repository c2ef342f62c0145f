"""Layer files are read as the layers that they describe, and written back."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from sympy import Abs, Expr, Function, Rational, exp, log, pi, tanh

import derive.derivation
import derive.grammar
from derive.errors import InputError
from derive.expr import HALF, Axis, Definition, SumOver, Var, mean, mul
from derive.functions import Absolute, Erf, Maximum, Relu, Sigmoid
from derive.grammar import load, parse_layer, to_text
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, c, eps, gamma, n, x
from derive.layers.softmax import SOFTMAX
from tests.derive.grammar.cases import ANNOTATED, ISSUE, with_output

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.layer"))

# Python declares no sign of their output; in a file it follows from the activation.
SIGNS_LEFT_OUT = {"block_relu", "block_sigmoid"}


def test_the_issue_s_example() -> None:
    layer = parse_layer(ISSUE)
    assert (layer.name, layer.title, layer.source) == ("layer", "Layer", "")
    assert [axis.size.name for axis in layer.axes] == ["C", "N"]
    assert layer.data.label == "x"
    assert [var.label for var in layer.learnt] == ["gamma", "beta"]
    assert [var.label for var in layer.parameters] == ["eps"]
    assert parse_layer(ISSUE.replace("n, c\n", "n (m), c (C)\n", 1)).definitions == tuple(
        replace(definition, note="") for definition in BATCH_NORM
    )


def test_titles_sources_notes_and_comments() -> None:
    assert parse_layer(ANNOTATED) == BATCH_NORM


def test_the_docstring_s_example_is_one() -> None:
    assert derive.grammar.__doc__ is not None
    _, _, rest = derive.grammar.__doc__.partition("::\n\n")
    example = parse_layer(textwrap.dedent(rest.partition("\n\nA statement")[0]))
    assert [d.expr for d in example] == [d.expr for d in BATCH_NORM]
    assert (example.title, example.source) == (BATCH_NORM.title, BATCH_NORM.source)


@pytest.mark.parametrize("name", LAYERS)
def test_the_built_in_layers_can_be_written_and_read(name: str) -> None:
    layer = LAYERS[name]
    if name in SIGNS_LEFT_OUT:
        with pytest.raises(InputError, match="cannot be written as text"):
            to_text(layer)
        return
    assert parse_layer(to_text(layer)) == layer


def test_softmax_as_a_person_writes_it() -> None:
    text = """
    layer softmax: Softmax
    source: Bridle 1990, eq. 3
    axes: n (N), c (m)
    x[n, c]
    e[n, c] = exp(x)    : exponentiate
    Z[n]    = sum[c](e) : the sample's total
    p[n, c] = e / Z     : divide by the total
    """
    assert parse_layer(text) == SOFTMAX


z = Var("z", n, c)
FORMS: list[tuple[str, Expr]] = [
    ("x^2", x**2),
    ("x**2", x**2),
    ("-x^2", -(x**2)),
    ("2*-x^2", -2 * x**2),
    ("x^-1", 1 / x),
    ("x^2^3", x**8),
    ("x^(1/3)", x ** Rational(1, 3)),
    ("eps^0.5", eps**HALF),
    ("x/gamma*eps", x / gamma * eps),
    ("x/(gamma*eps)", x / gamma / eps),
    ("x - (gamma - eps)", x - gamma + eps),
    ("0.1*x", x / 10),
    ("1.5e-3*x", Rational(3, 2000) * x),
    ("1E2*x", 100 * x),
    ("m*C*x", n.size * c.size * x),
    ("x / (m - 1)", x / (n.size - 1)),
    ("+x", x),
    ("- -x", x),
    ("2*(x - eps)", mul(2, x - eps)),
    ("(x - eps)*2", mul(2, x - eps)),
    ("sum[n](x)", SumOver(x, n)),
    ("sum[n, c](x)", SumOver(x, n, c)),
    ("mean[c, n](x)", mean(x, c, n)),
    ("sum[n](x)/m", mean(x, n)),
    ("sum[n](x * sum[n](x))", SumOver(x * SumOver(x, n), n)),
    ("sqrt(x^2)", Absolute(x)),
    ("exp(x)*exp(gamma)", exp(x + gamma)),
    ("log(exp(x))", x),
    ("tanh(x)", tanh(x)),
    ("sigmoid(x)", Sigmoid(x)),
    ("erf(x)", Erf(x)),
    ("abs(-x)", Absolute(x)),
    ("max(x, 0)", Maximum(x, 0)),
    ("max(1, 2)*x", 2 * x),
    ("relu(x)", Relu(x)),
    ("x[n, c]", x),
]


@pytest.mark.parametrize(("text", "meaning"), FORMS)
def test_what_an_expression_means(text: str, meaning: Expr) -> None:
    expr = parse_layer(with_output(f"0*x + x*({text})"))["y"].expr
    assert expr.doit() == (gamma * x / eps + x * meaning).doit()


def test_a_product_in_any_order_is_one_layer() -> None:
    first = parse_layer(with_output("gamma*x*(x + eps)/m"))
    assert first == parse_layer(with_output("(eps + x)/m*x*gamma"))
    assert first != parse_layer(with_output("(eps - x)/m*x*gamma"))


def test_declarations() -> None:
    layer = parse_layer(
        "layer l: a; b\naxes: n, T\nx[n] >= 0; scale; w[] > 0; a >= 0; constant s\n"
        "constant mean[T] > 0;;y[n] = x*scale*w*a*s*mean[T](mean) : a : b; c"
    )
    assert layer.title == "a; b"
    assert [axis.size.name for axis in layer.axes] == ["size_T", "N"]
    assert layer.data == Var("x", Axis("n", "N"), nonnegative=True)
    assert layer.learnt == (Var("scale"), Var("w", positive=True))
    mean_of = Var("mean", Axis("T", "size_T"), positive=True)
    assert layer.parameters == (Var("a", nonnegative=True), Var("s"), mean_of)
    assert layer["y"].note == "a : b; c"
    assert parse_layer(to_text(layer)) == layer


@pytest.mark.parametrize(
    ("expression", "positive", "nonnegative"),
    [
        ("exp(x)", True, True),
        ("sum[n](x^2)", None, True),
        ("mean[n](exp(x))", True, True),
        ("mean[n](x^2) + eps", True, True),
        ("mean[n](abs(x))", None, True),
        ("1/sqrt(mean[n](x^2) + eps)", True, True),
        ("sigmoid(x)*relu(x)", None, True),
        ("mean[n](x)", None, None),
        ("x - 1", None, None),
        ("-x^2", False, None),
    ],
)
def test_signs_follow_from_definitions(
    expression: str, positive: bool | None, nonnegative: bool | None
) -> None:
    axes = "c" if "[n]" in expression else "n, c"
    var = parse_layer(f"axes: n, c\nx[n, c]; eps > 0\nz[{axes}] = {expression}\ny[n, c] = x*z*eps")[
        "z"
    ].var
    assert bool(var.is_positive) == bool(positive)
    assert bool(var.is_nonnegative) == bool(nonnegative)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_files_of_every_system(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "my-own layer.layer"
    path.write_bytes(b"\xef\xbb\xbf" + ISSUE.replace("\n", ending).encode())
    layer = load(str(path))
    assert (layer.name, layer.title) == ("my_own_layer", "My own layer")
    assert layer.definitions == parse_layer(ISSUE).definitions


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_derived_and_proved(path: Path) -> None:
    layer = load(path)
    assert parse_layer(to_text(layer)) == layer
    derivation = derive.derivation.derive(layer)
    assert {f"d{var.label}" for var in layer.inputs} <= {
        result.var.label for result in derivation.adjoints
    }
    assert derivation.facts


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "a # b"},
        {"title": ""},
        {"source": "two\nlines"},
        {"name": "no name"},
    ],
    ids=str,
)
def test_texts_that_would_be_read_otherwise_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(InputError):
        to_text(replace(BATCH_NORM, **changes))  # type: ignore[arg-type]  # these are texts


@pytest.mark.parametrize(
    "definition",
    [
        Definition(z, x * pi),
        Definition(z, Function("f")(x)),
        Definition(z, Abs(x)),
        Definition(z, 2**x),
        Definition(z, x, "a  b"),
        Definition(z, x, "a # b"),
        Definition(z, exp(x)),
        Definition(Var("z", n, c, positive=True), x),
        Definition(Var("ζ", n, c), x),
    ],
    ids=str,
)
def test_definitions_that_the_format_cannot_carry_are_refused(definition: Definition) -> None:
    layer = Layer("layer", "Layer", "", x, (), (), (definition,))
    assert to_text(replace(layer, definitions=(Definition(z, 2 * x),)))
    with pytest.raises(InputError):
        to_text(layer)


def test_a_function_of_a_number() -> None:
    assert parse_layer(with_output("x*log(2)"))["y"].expr.has(log(2))
