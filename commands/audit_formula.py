"""``backnorm audit formula``: is this formula right, and if not, where is it wrong?"""

from __future__ import annotations

import click

from commands.help import Command
from commands.options import layer_argument


@click.command(cls=Command)
@click.argument("formula")
@layer_argument
def command(formula: str, layer: str) -> int:
    """Is a formula about a layer right?

    FORMULA is one equation, such as "dl/dgamma = sum[i](dl/dy[i]*x_hat[i])". The exit code is 0 if
    it is equal, 1 if it is not, and 2 if it cannot be read.
    """
    from commands.console import is_ascii, say
    from verify.audit.documents_page import as_line, evidence
    from verify.audit.formula import judge
    from verify.audit.transcriptions import Statement

    statement = Statement("formula", formula, layer=layer)
    judgement = judge(statement)
    say(f"{judgement.verdict}: {evidence(statement, judgement, as_line(is_ascii()))}")
    return 0 if judgement.verdict not in ("wrong", "cannot be proved") else 1
