"""``backnorm audit formula``: is this formula right, and if not, where is it wrong?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.help import Command
from commands.options import layer_or_study_argument, notation_option

if TYPE_CHECKING:
    from derive.render.notation import Notation
    from verify.audit.report import Answer
    from verify.audit.subjects import Subject

STYLES = {"equal": "bold green", "not equal": "bold red"}


@click.command(cls=Command)
@click.argument("formula", metavar="FORMULA|FILE")
@layer_or_study_argument
@notation_option
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME=QUANTITY",
    help="What a name of the formula stands for, such as u_B=mu or N=m; 'loss' is the loss.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as data.")
def command(formula: str, subject: str, notation: str, names: Sequence[str], as_json: bool) -> int:
    r"""Is a formula about a layer right?

    FORMULA is "LHS = RHS", in LaTeX as papers print it, such as
    "\frac{\partial \ell}{\partial \beta} = \sum_{i=1}^m \frac{\partial \ell}{\partial y_i}",
    or in Python, such as "dbeta = np.sum(dy, axis=0)". A FILE has one on each line.

    Either it is proved equal for every batch size, or equal under a condition that is named, or it
    is shown to differ by the smallest numbers that do so, with what the derivation gives instead.
    What could be read in two ways is refused, at its place.

    The exit code is 0 if every formula is equal, 1 if one is not, or only under a condition, and 2
    if one is refused.
    """
    from derive.render.notation_file import notation as table

    about = _about(subject)
    written = table(notation, about.layer)
    others = dict(_pair(name) for name in names)
    lines, name = _lines(formula)
    answers = [answer for text in lines for answer in _answers(text, name, about, written, others)]
    if as_json:
        import json

        from verify.audit.report import json_object

        print(json.dumps(json_object(subject, answers, written), indent=2, ensure_ascii=False))
    else:
        _show(answers, written)
    return _status(answers)


def _about(name: str) -> Subject:
    from commands.options import layer_named
    from derive.layers import LAYERS
    from verify.audit.subjects import STUDY, subject, subject_of

    if name == STUDY:
        return subject(name)
    layer = layer_named(name)
    return subject(name) if LAYERS.get(name) is layer else subject_of(layer)


def _pair(name: str) -> tuple[str, str]:
    from derive.errors import InputError

    written, equals, label = name.rpartition("=")
    if not (equals and written.strip() and label.strip()):
        raise InputError(f"--name {name}: write NAME=QUANTITY, such as u_B=mu")
    return written.strip(), label.strip()


def _lines(given: str) -> tuple[list[str], str]:
    """The formulas, and the name of where they stand; a file's keep their line."""
    path = Path(given)
    if "=" in given or "\\" in given or not (path.suffix or path.is_file()):
        return [given], "formula"
    from derive.grammar.source import read

    return list(_in_file(read(path).lines)), path.name


def _in_file(lines: Sequence[str]) -> Iterator[str]:
    """Formulas, each behind as many empty lines as stand before it; one goes on over several lines
    as long as a brace or an environment is open."""
    first, text = 0, ""
    for number, line in enumerate(lines):
        if not text:
            first = number
            if not line.strip() or line.lstrip().startswith(("#", "%")):
                continue
        text = f"{text}\n{line}" if text else line
        opened = text.count("{") - text.count("}") + text.count(r"\begin") - text.count(r"\end")
        if opened <= 0:
            yield "\n" * first + text
            text = ""
    if text:
        yield "\n" * first + text


def _answers(
    text: str, name: str, about: Subject, written: Notation, others: dict[str, str]
) -> Iterator[Answer]:
    from derive.errors import SourceError
    from verify.audit.formula import judge
    from verify.audit.questions import questions

    try:
        asked = questions(text, about, written=written, others=others, name=name)
    except SourceError as error:
        if name == "formula":
            raise
        yield text.strip(), error
        return
    for question in asked:
        yield text.strip(), question, judge(question, about)


def _status(answers: Sequence[Answer]) -> int:
    if any(len(answer) == 2 for answer in answers):
        return 2
    return int(not all(answer[2].holds for answer in answers if len(answer) == 3))


def _show(answers: Sequence[Answer], written: Notation) -> None:
    from rich.text import Text

    from commands.console import Console, is_ascii, say
    from verify.audit.evidence import as_line, evidence, headline

    console = Console()
    for k, answer in enumerate(answers):
        if k:
            console.print()
        if len(answer) == 2:
            console.print(Text(f"refused: {answer[1]}", "bold"), soft_wrap=True)
            console.print(Text(answer[1].detail), soft_wrap=True)
            continue
        _, question, judgement = answer
        say(f"read as: {question.reads}")
        if question.where:
            say(f"where {question.where}")
        style = STYLES["equal" if judgement.holds else "not equal"]
        console.print(Text(headline(judgement), style), soft_wrap=True)
        for sentence in evidence(judgement, as_line(is_ascii()), written):
            say(sentence)
