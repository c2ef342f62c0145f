"""``backnorm audit``: somebody else's formula or kernel, held against the derivation."""

from __future__ import annotations

import click

from commands import audit_documents, audit_formula, audit_kernel
from commands.help import Group

# In the order of the help.
COMMANDS: dict[str, click.Command] = {
    "formula": audit_formula.command,
    "kernel": audit_kernel.command,
    "documents": audit_documents.command,
}


@click.group(cls=Group, commands=COMMANDS)
def command() -> None:
    """Is somebody else's formula or kernel right?"""
