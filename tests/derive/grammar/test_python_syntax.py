"""Equations in Python's syntax: what is read, and that the rest is refused and never evaluated."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derive.errors import SourceError
from derive.expr import Axis, adjoint
from derive.grammar.equation import to_text
from derive.grammar.python_syntax import python_equations
from derive.grammar.source import Source
from derive.layers.batch_norm import beta, c, eps, gamma, mu, n, var, x, x_hat, y

NAMES = {v.label: v for v in (x, gamma, beta, eps, mu, var, x_hat, y)}
NAMES |= {f"d{v.label}": adjoint(v) for v in (x, gamma, beta, mu, var, x_hat, y)}
NAMES |= {"m": n.size, "C": c.size}


def read(text: str, data: tuple[Axis, ...] = (n, c)) -> list[str]:
    equations = python_equations(Source("formula", text), NAMES, data)
    return [to_text(equation) for equation in equations]


READ = {
    "y = gamma * x_hat + beta": "y = gamma*x_hat + beta",
    "y = -x**2": "y = -x**2",
    "y = (-x)**2": "y = (-x)**2",
    "y = x**-1.5": "y = x**(-3/2)",
    "y = x - (gamma - beta)": "y = x - (gamma - beta)",
    "y = x/gamma/beta*mu": "y = x/gamma/beta*mu",
    "y = x/(gamma*beta)": "y = x/(gamma*beta)",
    "y = .5*x + 1e-2": "y = 1/2*x + 1/100",
    "mu = np.mean(x, axis=0)": "mu = mean[n](x)",
    "mu = np.mean(x, 0)": "mu = mean[n](x)",
    "mu = x.mean(axis=-2)": "mu = mean[n](x)",
    "mu = torch.mean(x, dim=0)": "mu = mean[n](x)",
    "mu = x.sum(0) / x.shape[0]": "mu = sum[n](x)/m",
    "mu = np.sum(x, axis=0) / len(x)": "mu = sum[n](x)/m",
    "var = np.var(x, axis=0)": "var = mean[n]((x - mean[n](x))**2)",
    "var = x.var(axis=0, ddof=0)": "var = mean[n]((x - mean[n](x))**2)",
    "var = np.mean(np.square(x - mu), axis=0)": "var = mean[n]((x - mu)**2)",
    "dgamma = np.sum(dy * x_hat, axis=0)": "dgamma = sum[n](dy*x_hat)",
    "dgamma = (dy * x_hat).sum(axis=0, keepdims=True)": "dgamma = sum[n](dy*x_hat)",
    "y = np.sqrt(var + eps)": "y = sqrt(var + eps)",
    "y = np.exp(x) + np.maximum(x, 0) + abs(x)": "y = exp(x) + max(x, 0) + abs(x)",
    "dx = np.ones_like(x) / x.shape[0]": "dx = 1/m",
    "dl/dx[i] = sum[j](dl/dy[j])": "dl/dx[i] = sum[j](dl/dy[j])",
    "dx[i] = gamma*dy[i]": "dx[i] = gamma*dy[i]",
    "dy[i]/dx[j] = gamma*dx_hat[i]/dx[j]": "dy[i]/dx[j] = gamma*dx_hat[i]/dx[j]",
    "dx[i]/dx[j] = delta[i, j]": "dx[i]/dx[j] = delta[i, j]",
    "dy[i]/dx[j] = 0, i != j": "dy[i]/dx[j] = 0, i != j",
    "mu = 1/m*sum[i](x[i])  # the mean": "mu = 1/m*sum[i](x[i])",
}


@pytest.mark.parametrize(("text", "reading"), READ.items())
def test_what_is_read(text: str, reading: str) -> None:
    assert read(text) == [reading]


def test_several_lines_and_chains() -> None:
    assert read("y = x\n\n# nothing\nmu = beta = 0") == ["y = x", "mu = beta", "mu = 0"]


REFUSED = [
    # Other Python
    ("y = __import__('os').system('true')", 5, "this function is not known here"),
    ("y = eval('x')", 5, "the function eval is not known here"),
    ("y = print(x)", 5, "the function print is not known here"),
    ("y = open", 5, "unknown name open"),
    ("y = sum", 5, "unknown name sum"),
    ("sum = x", 1, "unknown name sum"),
    ("y = max(x)(y)", 5, "this function is not known here"),
    ("y = x.__class__", 5, "Python's attribute is not part of a formula"),
    ("y = x if x else y", 5, "a condition is not part of a formula"),
    ("y = [x for x in y]", 5, "Python's listcomp is not part of a formula"),
    ("y = lambda: x", 5, "a function is not part of a formula"),
    ("y = (x := 2)", 6, "Python's namedexpr is not part of a formula"),
    ("y = x == y", 5, "a comparison is not part of a formula"),
    ("y = x and y", 5, "Python's boolop is not part of a formula"),
    ("y = x @ gamma", 5, "Python's binop is not part of a formula"),
    ("y = x // 2", 5, "Python's binop is not part of a formula"),
    ("y = x ^ 2", 5, "^ is no power in Python; write **"),
    ("y = 'x'", 5, "a number has at most 60 digits"),
    ("y = f'{x}'", 5, "Python's joinedstr is not part of a formula"),
    ("y = True", 5, "a number has at most 60 digits"),
    ("y = 2j", 5, "a number has at most 60 digits"),
    ("y = 0x10", 5, "a number has at most 60 digits"),
    ("y = 1e999", 5, "a number has at most 60 digits"),
    ("y = " + "9" * 100, 5, "a number has at most 60 digits"),
    ("y = x; mu = 2", 6, "this is not Python"),
    ("y += x", 7, "a formula has two sides"),
    ("y := x", 7, "a formula has two sides"),
    ("y == x", 7, "a formula has two sides"),
    ("y", 2, "a formula has two sides"),
    ("y = ", 4, "a formula has two sides"),
    ("y = (x", 5, "this is not Python"),
    ("y = x) + (x", 6, "this is not Python"),
    ("", 1, "there is no formula here"),
    # Shadowed, misspelt and disguised names
    ("y = gamma(x)", 5, "gamma is no function; a product needs its sign"),
    ("y = np.gamma(x)", 5, "gamma is no function"),
    ("y = os.sqrt(x)", 5, "this function is not known here"),
    ("y = x_hut", 5, "unknown name x_hut; did you mean x_hat?"),
    ("y = np.sqrt(x, out=x)", 5, "sqrt takes no keywords here"),
    ("y = \N{CYRILLIC SMALL LETTER HA}", 5, "CYRILLIC SMALL LETTER HA"),
    ("y = \N{MATHEMATICAL ITALIC SMALL X}", 5, "MATHEMATICAL ITALIC SMALL X"),
    ("y = x\x00", 6, "control character"),
    # Axes and indices
    ("dgamma = sum(dy)", 10, "write np.sum(..., axis=0), or sum[i](...)"),
    ("dgamma = np.sum(dy)", 10, "sum takes an array and its axis"),
    ("dgamma = np.sum(dy, axis=None)", 26, "an axis is a number from 0 to 1"),
    ("dgamma = np.sum(dy, axis=2)", 26, "an axis is a number from 0 to 1"),
    ("dgamma = np.sum(dy, axis=True)", 26, "an axis is a number from 0 to 1"),
    ("dgamma = np.sum(gamma, axis=0)", 10, "arrays of the data's shape alone"),
    ("var = np.var(x, axis=0, ddof=1)", 30, "ddof is 0 here"),
    ("y = x - np.mean(x, axis=1)", 9, "this needs keepdims=True to broadcast"),
    ("mu = np.sum(x, axis=0, where=x)", 6, "sum takes no where here"),
    ("mu = np.sum(x, axis=0)/len(gamma)", 24, "the shape of the data alone is known"),
    ("dl/dx[i] = np.sum(dy, axis=0)", 12, "do not go together"),
    ("dy/dx = gamma", 1, "is dy/dx a derivative or a quotient"),
    ("y = x[0]", 7, "an index is a letter"),
    ("y = x[i:j]", 7, "an index is a letter"),
    ("y = x[m]", 7, "m is a name here, so it can be no index"),
    ("y = (x + 1)[i]", 5, "an index stands behind a name"),
    ("mu = sum[i](x[i], y[i])", 6, "sum[i] takes one summand"),
    # Too long, too deep
    ("y = " + "x*" * 5_000 + "x", 1, "a formula has at most 4000 characters"),
    ("y = " + "(" * 500 + "x" + ")" * 500, 5, ""),
    ("y = " + "abs(" * 80 + "x" + ")" * 80, 205, "nested more than 50 deep"),
    ("y = " + "-" * 500 + "x", 55, "nested more than 50 deep"),
    ("y = " + "x**" * 500 + "2", 152, "nested more than 50 deep"),
]


@pytest.mark.parametrize(("text", "column", "said"), REFUSED)
def test_the_rest_is_refused(text: str, column: int, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(text)
    where, _, message = str(caught.value).partition(": ")
    assert said in message
    assert "\n" not in message
    assert where.startswith("formula:1:")
    if said:  # Python's own words and places differ from version to version
        assert where == f"formula:1:{column}"


def test_axes_are_counted_as_those_of_the_data_are() -> None:
    h, w = Axis("r", "H"), Axis("s", "W")
    image = x.at(n, c)
    data = (*image.axes, h, w)
    names = {**NAMES, "z": type(x)("z", *data)}
    equation = python_equations(Source("f", "mu = z.mean(axis=(0, 2, 3))"), names, data)[0]
    assert to_text(equation) == "mu = mean[n, r, s](z)"


@given(st.text(alphabet="xyij=+-*/()[]., 12#'npd_:", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SourceError):
        read(text)
