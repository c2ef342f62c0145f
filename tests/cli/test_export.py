"""``backnorm export``: what is written, and what is not overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from commands.export import KINDS
from tests.cli.calling import Outcome, call, is_one_line_of_error

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex here: no document is compiled"
)
STARTS = {
    "latex": "% Written by backnorm export, sha256 ",
    "html": "<!DOCTYPE html>\n<!-- Written by",
    "markdown": "<!-- Written by",
    "json": "{",
    "ipynb": "{",
}


def export(*arguments: str | Path, encoding: str = "utf-8") -> Outcome:
    return call("export", *map(str, arguments), encoding=encoding)


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, "rms_norm") for kind in STARTS), ("html", "examples/nameless.layer")],
)
def test_a_file_has_what_standard_output_has(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "file"
    written = export(kind, name, "-o", path)
    assert (written.status, written.err) == (0, "")
    assert written.out == f"{path}: written\n"
    printed = export(kind, name)
    assert path.read_bytes() == printed.out.encode()
    assert printed.out.startswith(STARTS[kind])
    assert export(kind, name, "-o", path).status == 0  # its own file is overwritten
    assert path.read_bytes() == printed.out.encode()


def test_options_reach_the_document() -> None:
    shown = export("latex", "--wrt", "beta", "--form", "closed", "--no-steps", "--notation", "lamp")
    assert r"\frac{\partial e}{\partial b}" in shown.out
    assert r"\partial w}" not in shown.out
    whole = export("latex", "--standalone", "--macro", r"loss=\mathcal{L}")
    assert whole.out.startswith("\\documentclass{article}")
    assert r"\partial \mathcal{L}" in whole.out


def test_derive_prints_the_same() -> None:
    for kind in ("latex", "json"):
        assert call("derive", "--format", kind).out == export(kind).out


@pytest.mark.parametrize("content", ["mine", ""])
def test_a_file_of_others_is_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text(content)
    refused = export("latex", "-o", path)
    assert refused.status == 2
    assert is_one_line_of_error(refused)
    assert "overwrite it with --force" in refused.err
    assert path.read_text() == content
    assert export("latex", "-o", path, "--force").status == 0
    assert path.read_text().startswith(STARTS["latex"])


def test_an_edited_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert export("html", "rms_norm", "-o", path).status == 0
    path.write_text(path.read_text(encoding="utf-8") + "<!-- mine -->", encoding="utf-8")
    assert export("html", "rms_norm", "-o", path).status == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("html", "--standalone"), "--standalone goes with latex"),
        (("docx",), "'docx' is not one of"),
        (("latex", "batchnorm"), "did you mean batch_norm?"),
        (("latex", "folding", "--wrt", "x"), "folding is a study"),
        (("latex", "--wrt", "z"), "has no input 'z' (inputs: x, gamma, beta, or all)"),
        (("latex", "--macro", r"loss=\input{x}"), r"the command \input is not allowed"),
        (("html", "--notation", "nonsense"), "there is no notation 'nonsense'"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], says: str) -> None:
    refused = export(*arguments)
    assert refused.status == 2
    assert is_one_line_of_error(refused)
    assert says in refused.err


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    assert export("html", "--wrt", "z", "-o", tmp_path / "page.html").status == 2
    assert list(tmp_path.iterdir()) == []


def test_json_is_ascii_and_the_same_in_every_locale() -> None:
    shown = export("json", encoding="ascii").out
    assert shown.isascii()
    assert shown == export("json").out
    assert json.loads(shown)["layer"] == "batch_norm"


def test_every_format_is_known() -> None:
    from derive.render.exports import FORMATS

    assert {*KINDS, "standalone"} == {*FORMATS, "ipynb"}


# --- PDF ------------------------------------------------------------------------------------------


def test_without_pdflatex_it_says_what_to_install(tmp_path: Path) -> None:
    with patch("subprocess.run", side_effect=FileNotFoundError):
        refused = export("pdf", "-o", tmp_path / "a.pdf")
    assert refused.status == 2
    assert is_one_line_of_error(refused)
    assert "apt-get install texlive-latex-base" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_pdf_is_not_printed_on_a_terminal() -> None:
    assert "say -o FILE" in call("export", "pdf", terminal=True).err


@needs_pdflatex
def test_a_pdf_is_reproducible_and_known_again(tmp_path: Path) -> None:
    paths = [tmp_path / "a.pdf", tmp_path / "other" / "b.pdf"]
    for path in paths:
        assert export("pdf", "rms_norm", "-o", path).status == 0
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(b"%PDF-")
    assert first == second
    assert export("pdf", "rms_norm", "-o", paths[0]).status == 0
    dated = ("export", "pdf", "rms_norm", "-o", str(paths[0]))
    assert call(*dated, SOURCE_DATE_EPOCH="1700000000").status == 0
    assert paths[0].read_bytes() != first
    paths[0].write_bytes(first.replace(b"obj", b"obi", 1))
    assert export("pdf", "rms_norm", "-o", paths[0]).status == 2


def test_whatever_a_layer_file_says_is_read_as_it_stands(tmp_path: Path) -> None:
    """Its title, source and notes are not markup, nor templates."""
    path = tmp_path / "odd.layer"
    path.write_text(
        "layer odd: Müller's <layer> & 50% of $x_i$ γ {a} \\input 漢\n"
        "source: “Quoted” {0} <b>\naxes: n (m), c (C)\nx[n, c]\n"
        "mu[c] = mean[n](x): the {mean} of *x* & <i> _a_ \\foo ^ ~\ny[n, c] = x - mu\n",
        encoding="utf-8",
    )
    assert "the {mean} of *x* & <i> _a_ \\foo ^ ~" in call("derive", str(path)).out
    assert "<h1>Müller&#x27;s &lt;layer&gt; &amp; 50%" in export("html", path).out
    assert "the {mean} of *x* &amp; &lt;i&gt;" in export("html", path).out
    assert (
        r"# Müller's \<layer\> & 50% of \$x\_i\$ γ {a} \\input 漢" in export("markdown", path).out
    )
    assert r"\{mean\} of *x* \& $<$i$>$ \_a\_ $\backslash$foo" in export("latex", path).out
    assert json.loads(export("json", path).out)["source"] == "“Quoted” {0} <b>"
    if shutil.which("pdflatex"):
        assert export("pdf", path, "-o", tmp_path / "odd.pdf").status == 0
