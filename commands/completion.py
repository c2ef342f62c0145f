"""``backnorm completion``: tab completion in a shell."""

from __future__ import annotations

import click

from commands.help import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For bash: backnorm completion bash > ~/.local/share/bash-completion/completions/backnorm
    """
    from click.shell_completion import get_completion_class

    chosen = get_completion_class(shell)
    assert chosen is not None
    group = context.find_root().command
    print(chosen(group, {}, "backnorm", "_BACKNORM_COMPLETE").source())
