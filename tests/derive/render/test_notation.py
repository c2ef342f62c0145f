"""Notations: the files that come with the project, and what a user's own file may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derive.errors import InputError
from derive.expr import Definition, Var
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, c, gamma, x_hat, y
from derive.render import Notation, Symbol, notation, to_latex, to_line
from derive.render.blocks import Equation
from derive.render.document import document
from derive.render.notation_file import FOLDER, NAMES
from derive.render.notation_fit import fitted
from tests.cli.calling import call
from tests.derive.statements import derivation_of

PAPER_TEXT = (FOLDER / "paper.toml").read_text(encoding="utf-8")
Loader = Callable[[str], Notation]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Reads a notation from a file of that text, called my.toml."""

    def read(text: str) -> Notation:
        path = tmp_path / "my.toml"
        path.write_text(text, encoding="utf-8")
        return notation(str(path))

    return read


def refusal(load: Loader, text: str) -> str:
    """The one line that says why a file is refused, without its path."""
    with pytest.raises(InputError) as caught:
        load(text)
    message = str(caught.value)
    assert message.isprintable()
    return message.partition("my.toml: ")[2]


def formulas(layer: str, name: str, ascii: bool = False) -> list[str]:
    blocks = document(derivation_of(layer), notation=notation(name))
    return [to_line(block.tree, ascii) for block in blocks if isinstance(block, Equation)]


# --- Those that come with the project -------------------------------------------------------------


def test_every_file_is_listed() -> None:
    assert sorted(NAMES) == sorted(path.stem for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
def test_every_notation_fits_every_layer(layer: Layer, name: str) -> None:
    fitted(notation(name), layer)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_that_ship_pass_the_checks_of_a_user_s_file(load: Loader, name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert replace(load(text), name=name) == notation(name)


EXPECTED = {
    "paper": ["μ_B = (1/m) Σᵢ xᵢ", "∂ℓ/∂μ_B = −(γ/√(σ²_B + ε)) Σᵢ ∂ℓ/∂yᵢ"],
    "plain": ["μ = (1/m) Σᵢ xᵢ", "x̂ᵢ = (xᵢ − μ)/√(σ² + ε)"],
    "lamp": [
        "m = (1/k) Σₜ xₜ",
        "v = (1/k) Σₜ (xₜ − m)²",
        "sᵢ = (xᵢ − m)/√(v + ε)",
        "yᵢ = w sᵢ + b",
        "∂m/∂xᵢ = 1/k",
        "∂v/∂xᵢ = 2(xᵢ − m)/k",
        "u = w/(k √(v + ε))",
        "rᵢⱼ = {k − 1 − sᵢ² if i = j; −1 − sᵢ sⱼ if i ≠ j}",
        "∂e/∂w = Σₜ ∂e/∂yₜ sₜ",
    ],
    "layer": [
        "μ = (1/m) Σᵢ Zˡᵢ",
        "σ² = (1/m) Σᵢ (Zˡᵢ − μ)²",
        "Z̃ˡᵢ = γ Ẑˡᵢ + β",
        "Σᵢ (Ẑˡᵢ)² = m σ²/(σ² + ϵ)",
    ],
    "code": [
        "inv_std = 1/√(var + eps)",
        "x_hatᵢ = inv_std (xᵢ − mu)",
        "dvar = −Σᵢ (inv_std³/2) (xᵢ − mu) dx_hatᵢ",
        "dxᵢ = (gamma inv_std/m) (m dyᵢ − Σⱼ dyⱼ − x_hatᵢ Σⱼ dyⱼ x_hatⱼ)",
        "dy_dxᵢⱼ = u Rᵢⱼ",
        "Σᵣ Σᵢ dyᵢᵣ y_dotᵢᵣ = Σᵣ Σᵢ dxᵢᵣ x_dotᵢᵣ + Σᵣ dgammaᵣ gamma_dotᵣ + Σᵣ dbetaᵣ beta_dotᵣ",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_in_the_symbols_of_each_document(name: str) -> None:
    assert not set(EXPECTED[name]) - set(formulas("batch_norm", name))


def test_latex_as_in_the_documents() -> None:
    def latex(name: str) -> list[str]:
        blocks = document(derivation_of("batch_norm"), notation=notation(name))
        return [to_latex(block.tree) for block in blocks if isinstance(block, Equation)]

    mean, variance, *_ = latex("layer")
    assert mean == r"\mu = \frac{1}{m} \sum_{i=1}^{m} Z^{[l](i)}"
    assert variance == r"\sigma^2 = \frac{1}{m} \sum_{i=1}^{m} (Z^{[l](i)} - \mu)^2"
    assert r"\hat{Z}^{[l](i)}^" not in "".join(latex("layer"))  # a double superscript
    assert latex("lamp")[0] == r"m = \frac{1}{k} \sum_{t=1}^{k} x_t"
    assert r"\mathtt{u} = \frac{\mathtt{gamma} \, \mathtt{inv\_std}}{\mathtt{m}}" in latex("code")


def test_a_name_for_a_root_is_told_before_it_is_used_and_only_where_there_is_one() -> None:
    assert [f.partition(" = ")[0] for f in formulas("layer_norm", "code")[:5]] == [
        *("muᵣ", "varᵣ", "inv_stdᵣ", "x_hatᵣᵢ", "yᵣᵢ")
    ]
    assert "inv_" not in "".join(formulas("softmax", "code"))
    assert "inv_rmsᵣ = 1/√(mean_squareᵣ + eps)" in formulas("rms_norm", "code")


def test_a_mark_of_the_batch_is_left_out_where_there_is_no_batch() -> None:
    blocks = document(derivation_of("layer_norm"), wrt=["x"], form="closed")
    lines = [to_line(block.tree) for block in blocks if isinstance(block, Equation)]
    assert not any("_B" in line for line in lines)
    assert any("σ²" in line for line in lines)
    assert any("_B" in line for line in formulas("batch_norm", "paper"))


def test_labels_that_a_notation_does_not_list_print_as_themselves() -> None:
    layer = altered(Var("scale", c))
    assert fitted(notation("lamp"), layer).symbol("scale") == Symbol(
        "scale", "scale", r"\mathrm{scale}"
    )


# --- Names that look the same ---------------------------------------------------------------------


def altered(parameter: Var) -> Layer:
    """Batch Norm whose shift has another name."""
    shifted = Definition(y, gamma * x_hat + parameter)
    return replace(
        BATCH_NORM,
        learnt=(gamma, parameter),
        definitions=(*BATCH_NORM.definitions[:-1], shifted),
    )


@pytest.mark.parametrize(
    ("name", "label", "says"),
    [
        ("lamp", "m_", ""),
        ("lamp", "s", "s and x_hat of batch_norm have the same text, s"),
        ("lamp", "v", "v and var of batch_norm have the same text, v"),
        ("lamp", "e", "e and the loss of batch_norm have the same text, e"),
        ("lamp", "k", "k and the size m of batch_norm have the same text, k"),
        ("paper", "l", "l and the loss of batch_norm have the same text, l"),  # ℓ
        ("paper", "µ", "µ and mu of batch_norm have the same text, μ"),  # the micro sign
        ("paper", "delta", "delta and the Kronecker delta of batch_norm have the same ASCII"),
        ("paper", "x_i", "x_i of batch_norm is x_i in ASCII, which is also x with the index i"),
        ("code", "inv_std", "inv_std and inv_root_var of batch_norm have the same text"),
    ],
)
def test_names_that_look_the_same_are_refused(name: str, label: str, says: str) -> None:
    layer = altered(Var(label, c))
    if not says:
        fitted(notation(name), layer)
        return
    with pytest.raises(InputError) as caught:
        fitted(notation(name), layer)
    assert says in str(caught.value)


def test_an_index_gets_no_letter_that_is_a_name() -> None:
    layer = altered(Var("j", c))
    assert fitted(notation("paper"), layer).alphabets[0] == "ik"
    with pytest.raises(InputError, match="has the indices j, and batch_norm uses them as names"):
        fitted(replace(notation("paper"), alphabets=("j", "rst")), layer)


def test_an_index_that_the_notation_itself_uses_as_a_name_is_refused(load: Loader) -> None:
    own = load(PAPER_TEXT.replace('m = { text = "m", ascii = "m", latex = "m" }', K))
    with pytest.raises(InputError, match="k is an index and the size m"):
        fitted(own, BATCH_NORM)


K = 'm = { text = "k", ascii = "k", latex = "k" }'


# --- A file of the user's -------------------------------------------------------------------------


def test_the_name_is_the_file_s(load: Loader) -> None:
    assert load(PAPER_TEXT).name == "my"


def without(line: str) -> str:
    """The paper's file without the line that begins so."""
    left = [text for text in PAPER_TEXT.splitlines() if not text.startswith(line)]
    assert len(left) == len(PAPER_TEXT.splitlines()) - 1
    return "\n".join(left)


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        ("loss = ", "loss"),
        ("indices = ", "indices"),
        ("m = ", "sizes.m"),
        *((f"{label} = ", f"symbols.{label}") for label in ("x", "mu", "var", "x_hat")),
        *((f"{label} = ", f"symbols.{label}") for label in ("gamma", "beta", "eps", "y")),
    ],
)
def test_a_file_that_lacks_something_is_told_what(load: Loader, line: str, lacks: str) -> None:
    assert refusal(load, without(line)) == f"lacks {lacks}"


def test_everything_that_lacks_is_named_at_once(load: Loader) -> None:
    assert refusal(load, "") == (
        "lacks indices, loss, sizes.m, symbols.x, symbols.mu, symbols.var, symbols.x_hat, "
        "symbols.gamma, symbols.beta, symbols.eps, symbols.y"
    )
    text = PAPER_TEXT.replace(r", latex = '\gamma'", "").replace('text = "ℓ", ', "")
    assert refusal(load, text) == "lacks loss.text, symbols.gamma.latex"


def test_identifiers_need_no_loss(load: Loader) -> None:
    assert load('derivatives = "identifiers"\n' + without("loss = ")).identifiers


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("loss =", "los =", "unknown key los; did you mean loss?"),
        ("gamma =", "gama =", "unknown key symbols.gama; did you mean symbols.gamma?"),
        ("[sizes]", "[size]", "unknown key size; did you mean sizes?"),
        ("square =", "squared =", "unknown key symbols.var.squared; did you mean symbols.var.s"),
        ("loss =", "qqq =", "unknown key qqq; known: delta, derivatives, indices, loss, only,"),
    ],
)
def test_an_unknown_key_is_told_the_nearest(load: Loader, old: str, new: str, says: str) -> None:
    assert says in refusal(load, PAPER_TEXT.replace(old, new, 1))


BETA = '{ text = "β", ascii = "beta", latex = \'\\beta\' }'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"β"', '""', "symbols.beta.text is '': it must begin with a letter"),
        ('"β"', '"a b"', "' ' is not a letter"),
        ('"β"', '"a+b"', "'+' is not a letter"),
        ('"β"', '"a\\u202eb"', "'\\u202e' is not a letter"),
        ('"β"', '"a\\nb"', "'\\n' is not a letter"),
        ('"β"', '"a\\u200db"', "'\\u200d' is not a letter"),
        ('"β"', '"\\u0302b"', "it must begin with a letter"),
        ('"β"', '"1b"', "it must begin with a letter"),
        ('"β"', '"sqrt"', "it has a meaning of its own in formulas"),
        ('"β"', '"{x}"', "it must begin with a letter"),
        ('"β"', f'"{"b" * 17}"', "is longer than 16 characters"),
        ('"β"', "3", "symbols.beta.text must be a text in quotation marks"),
        ('"beta"', '"β"', "it must be ASCII letters"),
        ('"beta"', '"exp"', "it has a meaning of its own"),
        (r"'\beta'", r"'\input{x}'", r"the command \input is not allowed in a name"),
        (r"'\beta'", "'{x'", "its braces or brackets are not"),
        (BETA, "7", "symbols.beta must be a table"),
        (BETA, BETA.replace("}", ", square = 1 }"), "symbols.beta.square must be true or false"),
        (BETA, BETA.replace("}", ', subscript = "-" }'), "it must be ASCII letters and digits"),
        (BETA, BETA.replace("}", ', superscript = "{" }'), "its braces or brackets are not"),
        ("subscript =", "superscript =", "symbols.var cannot have a square and a superscript"),
        (
            "eps = ",
            "R = { text = 'Q', ascii = 'Q', latex = 'Q' }\neps =",
            "symbols.R.text must be R",
        ),
        ('["ijk", "rst", "pv", "ao", "hn"]', '["ijk"]', "letters for 1 axes; 5 are needed"),
        ('["ijk", "rst", "pv", "ao", "hn"]', "3", "indices must be a list of letters"),
        ('["ijk", "rst", "pv", "ao", "hn"]', '["ij1"]', "indices must be a list of letters"),
        ('["ijk", "rst", "pv", "ao", "hn"]', '["ijk", "ist"]', "indices has the letter i twice"),
        ("[sizes]", 'sums = ["z"]\n[sizes]', "sums has 'z', which indices does not have there"),
        ("[sizes]", 'derivatives = "x"\n[sizes]', 'derivatives must be "quotients" or "ident'),
        ("[sizes]", "sizes = 3", "sizes must be a table"),
        ("[sizes]", "only = 3\n[sizes]", "only must be a table"),
        ("loss = {", "loss = ", "not TOML: "),
    ],
)
def test_a_bad_value_is_refused(load: Loader, old: str, new: str, says: str) -> None:
    text = PAPER_TEXT.replace(old, new) if "script" in old else PAPER_TEXT.replace(old, new, 1)
    if new == "sizes = 3":
        text = without("m = ").replace("[sizes]", new)
    assert says in refusal(load, text)


def test_files_that_cannot_be_read(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes("loss = 'é'".encode("latin-1"))
    for name, says in (("absent.toml", "No such file"), ("latin.toml", "not UTF-8")):
        with pytest.raises(InputError, match=says):
            notation(str(tmp_path / name))
    with pytest.raises(InputError, match=r"there is no notation 'papr'; did you mean paper\?"):
        notation("papr")


def test_a_user_s_layer_may_be_named_in_the_user_s_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(PAPER_TEXT.replace("mean =", "offset =", 1), encoding="utf-8")
    layer = altered(Var("offset", c))
    assert notation(str(path), layer).symbol("offset").text == "E[x]"
    with pytest.raises(InputError, match=r"unknown key symbols\.offset"):
        notation(str(path))


def test_symbols_for_one_layer_only(load: Loader) -> None:
    own = load(PAPER_TEXT + '[only.batch_norm]\nbeta = { text = "b", ascii = "b", latex = "b" }\n')
    assert fitted(own, BATCH_NORM).symbol("beta").text == "b"
    assert fitted(own, LAYERS["layer_norm"]).symbol("beta").text == "β"


def test_wide_letters_and_accents_are_measured_in_columns(load: Loader) -> None:
    own = load(PAPER_TEXT.replace('"x̂"', '"幅̂"'))
    blocks = document(derivation_of("batch_norm"), notation=own)
    assert any("幅̂ᵢ = (xᵢ − μ_B)" in to_line(b.tree) for b in blocks if isinstance(b, Equation))


# --- The command line -----------------------------------------------------------------------------


def test_the_option(tmp_path: Path) -> None:
    shown = call("derive", "--notation", "lamp", "--form", "closed", "--format", "json")
    assert (shown.status, json.loads(shown.out)["notation"]) == (0, "lamp")
    path = tmp_path / "my.toml"
    path.write_text(without("loss = "), encoding="utf-8")
    for command in ("derive", "run"):
        refused = call(command, "--notation", str(path))
        assert refused.status == 2
        assert refused.err == f"backnorm: error: {path}: lacks loss\n"
        assert refused.out == ""


def test_the_names_are_offered() -> None:
    words = "backnorm derive --notation la"
    shown = call(_BACKNORM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="3")
    assert [line.partition(",")[2] for line in shown.lines] == ["lamp", "layer"]
