"""How kernels are called: what is recognised, what a mapping settles, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from derive.errors import InputError
from tests.verify.audit.trying import observed, tried
from verify.audit.kernel_report import Report, judge
from verify.audit.sandbox import Request
from verify.audit.shape import Mapped

CORE = """
import numpy as np

def core(dy, x, gamma, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    x_hat = (x - x.mean(0)) * r
    dx = gamma * r * (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0))
    return dx, (dy * x_hat).sum(0), dy.sum(0)

"""
RIGHT = {
    "any order": "def backward(eps, weight, X, grad_output):\n"
    "    return core(grad_output, X, weight, eps)",
    "keywords": "def backward(*, dout, inputs, scale, epsilon):\n"
    "    return core(dout, inputs, scale, epsilon)",
    "defaults": "def backward(dout, x, gamma, eps=1e-5, verbose=False):\n"
    "    return core(dout, x, gamma, eps)",
    "a callable object": "class Made:\n    def __call__(self, dy, x, gamma, eps):\n"
    "        return core(dy, x, gamma, eps)\nbackward = Made()",
    "saved one by one": "def forward(x, gamma, beta, eps):\n    return x, x, gamma, eps\n"
    "def backward(dy, saved_x, w_, e_): return core(dy, saved_x, w_, e_)",
    "a list for a cache": "def fwd(x, gamma, beta, eps):\n    return x, [x, gamma, eps]\n"
    "def bwd(dy, cache):\n    return core(dy, *cache)\nbackward = bwd",
    "all saved": "def backward(dy, x, x_hat, y, xmu, mean, var, std, rstd, gamma, beta, eps, m):\n"
    "    g = dy * gamma\n"
    "    assert m == len(x)\n"
    "    return rstd / m * (m * g - g.sum(0) - x_hat * (g * xmu).sum(0) / std)",
    "static methods": "class backward:\n"
    "    @staticmethod\n    def forward(x, gamma, beta, eps):\n        return x, (x, gamma, eps)\n"
    "    @staticmethod\n    def backward(dy, cache):\n        return core(dy, *cache)",
    "a class of arguments": "class backward:\n"
    "    def __init__(self, weight, bias, eps):\n        self.w, self.eps = weight, eps\n"
    "    def forward(self, x):\n        self.x = x\n"
    "    def backward(self, dy):\n        return core(dy, self.x, self.w, self.eps)",
}


def given(folder: Path, source: str, **options: object) -> Report:
    path = folder / "kernels.py"
    path.write_text(CORE + source + "\n")
    return tried(str(path), **options)  # type: ignore[arg-type]  # passed on as they are


@pytest.mark.parametrize("name", RIGHT)
def test_recognised(tmp_path: Path, name: str) -> None:
    if name == "a list for a cache":  # its own name shows which forward it has
        (tmp_path / "kernels.py").write_text(CORE + RIGHT[name])
        report = tried(f"{tmp_path / 'kernels.py'}:bwd")
    else:
        report = given(tmp_path, RIGHT[name])
    assert report.right
    assert report.eps is None


def test_mapped(tmp_path: Path) -> None:
    source = "def backward(p, q, r, s): return core(q, p, s, r)[::-1]"
    with pytest.raises(InputError, match="of which none is recognised as dy or x: say with --args"):
        given(tmp_path, source)
    mapped = (("x", "dy", "eps", "gamma"), ("dbeta", "dgamma", "dx"), "")
    assert given(tmp_path, source, mapped=mapped).right


def test_forward_named(tmp_path: Path) -> None:
    source = (
        "def ahead(x, gamma, beta, eps): return x, (x, gamma, eps)\n"
        "def backward(dy, kept): return core(dy, *kept)"
    )
    with pytest.raises(InputError, match="it takes kept, and no forward is found"):
        given(tmp_path, source)
    assert given(tmp_path, source, mapped=((), (), "ahead")).right
    with pytest.raises(InputError, match="there is no function behind, which --forward names"):
        given(tmp_path, source, mapped=((), (), "behind"))


@pytest.mark.parametrize(
    "source",
    [
        "def forward(x, eps): return x, (x, np.ones(x.shape[1]), eps)\n"
        "def backward(dy, cache): return core(dy, *cache)[0]",
        "class backward:\n    def __init__(self, eps): self.eps = eps\n"
        "    def forward(self, x): self.x = x\n"
        "    def backward(self, dy):\n"
        "        return core(dy, self.x, np.ones(dy.shape[1]), self.eps)[0]",
    ],
)
def test_without_gamma(tmp_path: Path, source: str) -> None:
    report = given(tmp_path, source)
    assert report.right
    assert "it takes no gamma: it was tried with gamma = 1" in report.warnings


def test_attributes_of_a_class_that_was_given_them_are_its_own(tmp_path: Path) -> None:
    source = """
class backward:
    def __init__(self, gamma, beta, eps):
        self.g, self.eps, self.scale = gamma, eps, 1.0
    def forward(self, x):
        self.x = x
    def backward(self, dy):
        return core(self.scale * dy, self.x, self.g, self.eps)
"""
    assert given(tmp_path, source).right


def test_called_again(tmp_path: Path) -> None:
    source = (
        "count = [0]\ndef backward(dy, x, gamma, eps):\n    count[0] += 1\n"
        "    return core(dy * (1 + 1e-13 * count[0]), x, gamma, eps)"
    )
    report = given(tmp_path, source)
    assert report.right
    assert "it gives other results when it is called again with the same arguments" in (
        report.warnings
    )


def test_channels_last(tmp_path: Path) -> None:
    source = """
def backward(dy, x, gamma, eps):
    flat = [a.reshape(-1, x.shape[-1]) for a in (dy, x)]
    dx, dgamma, dbeta = core(*flat, gamma, eps)
    return dx.reshape(x.shape), dgamma, dbeta
"""
    report = given(tmp_path, source, axis=-1)
    assert report.right
    assert report.ranks == (2, 3, 4)


def test_epsilon_built_in(tmp_path: Path) -> None:
    source = "def backward(dy, x, gamma): return core(dy, x, gamma, {})"
    for eps in (1e-8, 1e-3, 0):
        report = given(tmp_path, source.format(eps))
        assert report.right
        assert report.eps == eps
    source = source.format(0.0123)
    (tmp_path / "kernels.py").write_text(CORE + source)
    request = Request(str(tmp_path / "kernels.py"), "batch_norm", eps=0.0123)
    assert judge(observed(request), request, 0.0123).right


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("backward = 3", "it is a int, not a function or a class"),
        ("def backward(): pass", "it takes nothing, of which none is recognised"),
        ("def backward(dy, x): return x[:3]", "dx has shape (3, 3), not (7, 3), for x (7, 3)"),
        ("def backward(dy, x): return x, dy", "dgamma has shape (7, 3), not (3,)"),
        ("def backward(dy, x): return None", "it returns nothing; at least dx is needed"),
        ("def backward(dy, x): return {'a': 1}", "it returns nothing; at least dx is needed"),
        ("def backward(dy, x): return x * np.nan", "dx is not finite (nan) on a plain batch"),
        ("def backward(dy, x): return x / 0", "dx is not finite (inf) on a plain batch"),
        ("def backward(dy, x): return x.astype(int)", "dx is of dtype int64, not of floats"),
        ("def backward(dy, x): return x.astype(object)", "dx is of dtype object, not of floats"),
        ("def backward(dy, x): return x, [[1], [1, 2]]", "it returns what is no array"),
        ("def backward(dy, x): return 1 // 0", "on x (7, 3): ZeroDivisionError: "),
        ("def backward(dy, x, other): return x", "it takes other, and no forward is found"),
        ("class backward:\n    def forward(self, x): return x", "class backward has no backward"),
        (
            "class backward:\n    def __init__(self, a1): pass\n"
            "    def forward(self, x): return x\n    def backward(self, dy): return dy",
            "takes a1, which is not recognised: say with --args",
        ),
    ],
)
def test_refused_in_one_line(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        given(tmp_path, source)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("args", "returns", "said"),
    [
        (("dy", "z"), (), "--args knows dy, x, "),
        ((), ("dx", "dz"), "--returns knows dx, dgamma, dbeta, _, not 'dz'"),
    ],
)
def test_mappings_refused(args: tuple[str, ...], returns: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Mapped(args, returns)
    assert said in str(caught.value)


def test_too_many_arguments_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--args names 3 arguments, but backward takes 2"):
        given(tmp_path, "def backward(p, q): pass", mapped=(("dy", "x", "eps"), (), ""))
    mapped = ((), ("dx", "dgamma"), "")
    with pytest.raises(InputError, match="it returns 1 results; --returns names 2"):
        given(tmp_path, "def backward(dy, x): return x", mapped=mapped)


def test_no_such_function(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text("def one(): pass\ndef two(): pass\n")
    with pytest.raises(InputError, match="has no backward; it has one, two"):
        tried(str(tmp_path / "kernels.py"))
    with pytest.raises(InputError, match="there is no module no_such_module"):
        tried("no_such_module:backward")
    with pytest.raises(InputError, match=r"no_such.py does not exist"):
        tried("no_such.py:backward")
    with pytest.raises(InputError, match="cannot be imported: SyntaxError"):
        given(tmp_path, "def (")
