r"""What LaTeX a name may be made of: letters, accents, fonts and scripts, balanced.

A notation comes from a file that anybody may have written and ends up in a document that TeX runs,
so the commands are a list of what is allowed.  The grammar is small:

    value   item …                              scripts only inside braces: indices are added behind
    item    letter, digit, \alpha …, { item … }, \hat{ item … }, \mathrm{ item … }
    script  item _x, item ^{…}, at most one of each
"""

from __future__ import annotations

import re


def _commands(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


# Each command with the letter that it stands for.
_GREEK = _commands(
    r"""\alpha α \beta β \gamma γ \delta δ \epsilon ϵ \varepsilon ε \zeta ζ \eta η \theta θ
    \vartheta ϑ \iota ι \kappa κ \lambda λ \mu μ \nu ν \xi ξ \pi π \varpi ϖ \rho ρ \varrho ϱ
    \sigma σ \varsigma ς \tau τ \upsilon υ \phi ϕ \varphi φ \chi χ \psi ψ \omega ω
    \Gamma Γ \Delta Δ \Theta Θ \Lambda Λ \Xi Ξ \Pi Π \Sigma Σ \Upsilon Υ \Phi Φ \Psi Ψ \Omega Ω"""
)
_SIGNS = _commands(
    r"""\ell ℓ \hbar ℏ \imath ı \jmath ȷ \nabla ∇ \prime ′ \star ⋆ \ast ∗ \dagger † \circ ∘
    \bullet ∙ \top ⊤ \perp ⊥ \infty ∞ \Re ℜ \Im ℑ \aleph ℵ \wp ℘ \odot ⊙ \oplus ⊕ \parallel ∥"""
)
LETTERS = {**_GREEK, **_SIGNS}
GREEK = {letter: command for command, letter in _GREEK.items()}
_ACCENTS = """hat widehat tilde widetilde bar overline vec dot ddot check breve acute grave mathring
    underline boldsymbol"""
_FONTS = "mathrm mathbf mathit mathsf mathtt mathcal"

PLAIN = frozenset(LETTERS) | {r"\_", r"\,"}
WITH_ARGUMENT = frozenset(f"\\{name}" for name in f"{_ACCENTS} {_FONTS}".split())

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_OUTSIDE = re.compile(r"[A-Za-z0-9()\[\]]")
_INSIDE = re.compile(r"[A-Za-z0-9()\[\],*+\-]")
_DEEPEST = 6


def fault(latex: str, *, script: bool = False) -> str:
    """What is wrong with a name in LaTeX, in a few words, or nothing.

    ``script`` says that the text is to stand in a superscript or subscript.
    """
    tokens = _TOKEN.findall(latex)
    try:
        if tokens and tokens[0] in "[(" and not script:
            raise ValueError(f"it begins with {tokens[0]}")  # \\[ means something else
        _check_brackets(tokens)
        _items(tokens, 0, depth=int(script), least=1)
    except ValueError as error:
        return str(error)
    return ""


def _check_brackets(tokens: list[str]) -> None:
    closing = {"{": "}", "[": "]", "(": ")"}
    due: list[str] = []
    for token in tokens:
        if token in closing:
            due.append(closing[token])
        elif token in closing.values() and (not due or due.pop() != token):
            due.append(token)
            break
    if due:
        raise ValueError("its braces or brackets are not balanced")


def _items(tokens: list[str], place: int, *, depth: int, least: int = 0) -> int:
    """The place behind as many items as there are, at least so many."""
    if depth > _DEEPEST:
        raise ValueError("its braces are nested too deeply")
    count = 0
    while place < len(tokens) and tokens[place] != "}":
        if tokens[place] != " ":
            place = _scripts(tokens, _item(tokens, place, depth), depth)
            count += 1
        else:
            place += 1
    if count < least:
        raise ValueError("it is empty" if not depth else "it has empty braces")
    return place


def _item(tokens: list[str], place: int, depth: int) -> int:
    token = tokens[place]
    if token == "{":
        return _group(tokens, place, depth)
    if token in WITH_ARGUMENT:
        if tokens[place + 1 : place + 2] != ["{"]:
            raise ValueError(f"{token} needs braces behind it")
        return _group(tokens, place + 1, depth)
    if token in "^_" and not depth:
        raise ValueError(
            f"{token} must be inside braces, as in {{x{token}a}}: indices are added behind it"
        )
    if token in "^_":
        raise ValueError(f"{token} has nothing to stand at, or is the second one there")
    if not (token in PLAIN or (_INSIDE if depth else _OUTSIDE).fullmatch(token)):
        kind = "command" if token.startswith("\\") and len(token) > 1 else "character"
        shown = token if token.isprintable() else ascii(token)
        raise ValueError(f"the {kind} {shown} is not allowed in a name")
    return place + 1


def _group(tokens: list[str], place: int, depth: int) -> int:
    end = _items(tokens, place + 1, depth=depth + 1, least=1)
    return end + 1  # the closing brace: braces are balanced


def _scripts(tokens: list[str], place: int, depth: int) -> int:
    seen = ""
    while depth and tokens[place : place + 1] in (["^"], ["_"]) and tokens[place] not in seen:
        script = tokens[place]
        seen += script
        if place + 1 >= len(tokens) or tokens[place + 1] in WITH_ARGUMENT | {"}", "^", "_", " "}:
            raise ValueError(f"{script} needs a letter or braces behind it")
        place = _item(tokens, place + 1, depth)
    return place
