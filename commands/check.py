"""``backnorm check``: does a certificate prove what it says?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commands.help import Command


@click.command(cls=Command)
@click.argument("proof", type=click.Path(path_type=Path))
def command(proof: Path) -> int:
    """Replay a certificate that backnorm prove has written.

    The checker is small, exact and its own: it imports neither the engine nor SymPy, and
    "python -m verify.checker PROOF" runs it where nothing is installed.  It prints what is proved,
    or refuses and names the claim that does not hold.

    Exit status: 0 if every claim holds, 1 if one does not, 2 if the file is no certificate.
    """
    from commands.console import say
    from derive.errors import InputError
    from verify.checker.replay import FormatError, check
    from verify.checker.terms import ProofError
    from verify.checker.text import statement

    data = _read(proof)
    try:
        checker = check(data)
    except ProofError as error:
        say(f"REFUSED: {error}")
        return 1
    except FormatError as error:
        raise InputError(f"{proof}: {error}") from error
    for line in statement(checker):
        click.echo(line)
    click.echo()
    layer, counts = data["layer"], data["counts"]
    say(
        f"{layer}: proved for every size, in {checker.proved} equalities: {counts['gradients']} "
        f"gradients, {counts['steps']} steps, {counts['identities']} identities, "
        f"{counts['facts']} facts"
    )
    return 0


def _read(path: Path) -> Any:
    import json

    from derive.errors import InputError

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is no JSON ({error}); a certificate is needed, as backnorm prove writes it"
        ) from error
