"""The formulas of the source documents, audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from derive.render.notation_file import notation
from verify.audit.formula import Judgement, Verdict, judge
from verify.audit.questions import Question, questions
from verify.audit.subjects import Subject, subject
from verify.audit.transcriptions import Document, Statement


@dataclass(frozen=True)
class Judged:
    """A formula of a document, by its number (000.5), with the questions that it asks."""

    number: str
    statement: Statement
    answers: tuple[tuple[Question, Judgement], ...]


def judged(documents: Sequence[Document]) -> list[tuple[Document, list[Judged]]]:
    """Every formula of the documents with its verdict."""
    return [
        (
            document,
            [
                Judged(f"{document.number}.{k}", statement, tuple(answers(document, statement)))
                for k, statement in enumerate(document.formula, 1)
            ],
        )
        for document in documents
    ]


def answers(
    document: Document, statement: Statement, about: Subject | None = None
) -> list[tuple[Question, Judgement]]:
    """The questions of one formula, answered; ``about`` stands in for the subject that it names."""
    about = about or subject(statement.layer)
    own = about.named(document.names.get(statement.layer, {}))
    return [(each, judge(each, about, own, statement.under)) for each in asked(document, statement)]


def asked(document: Document, statement: Statement) -> list[Question]:
    """The questions of one formula.  Raises SourceError where it cannot be read."""
    about = subject(statement.layer)
    own = about.named(document.names.get(statement.layer, {}))
    found = questions(
        statement.reads or statement.latex or statement.code,
        about,
        written=notation(document.notation),
        others=document.aliases.get(statement.layer, {}),
        own={label: definition.var for label, definition in own.items()},
        syntax="latex" if statement.latex and not statement.reads else "python",
        name=statement.place,
    )
    return [replace(question, held=statement.held) for question in found]


def worst(one: Judged) -> Verdict:
    """The verdict on a formula that asks several questions."""
    order: tuple[Verdict, ...] = get_args(Verdict)
    return max((judgement.verdict for _, judgement in one.answers), key=order.index)
