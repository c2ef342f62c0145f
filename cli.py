"""The command line's entry: ``python cli.py`` in a checkout, ``backnorm`` once installed.

Each command is a file of :mod:`commands`; here stand the group, the exit codes and what becomes of
errors.  Exit codes: 0, 1 (a check failed, or a fault of the program), 2 (usage or bad input).
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from commands import COMMANDS
from commands.help import Group, help_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.1.0"
COMPLETION = "_BACKNORM_COMPLETE"  # set by a shell that asks what could follow


class Root(Group):
    """The commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[:2] == ["verify", "contract"]:  # another name of that command
            args = args[1:]
        return super().resolve_command(ctx, args)


@click.group(cls=Root, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="backnorm")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Derive, prove and generate the gradients of normalisation layers.

    From the definition of a layer: its gradients step by step for every batch size, each step
    proved; the closed forms and the Jacobian uR; kernels, and their verification.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; no traceback reaches a user, except with --debug."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what it cannot carry is escaped, never an error
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status(list(sys.argv[1:] if arguments is None else arguments)))


def _status(given: list[str]) -> int:
    try:
        status = _invoke(given)
        sys.stdout.flush()
        return status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # takes colours out
        return 2
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:
        if "--debug" in given:
            import traceback

            traceback.print_exception(error)
        return _explain(error)


def _invoke(given: list[str]) -> int:
    """What click's own main does, but for its handling of errors; a command returns its status."""
    if instruction := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "backnorm", COMPLETION, instruction)
    try:
        with cli.make_context("backnorm", [*given], **help_settings()) as context:
            status: Any = cli.invoke(context)
    except click.exceptions.Exit as ended:  # by --help or --version
        return ended.exit_code
    return status or 0


def _explain(error: Exception) -> int:
    from derive.errors import InputError

    if isinstance(error, InputError):
        return _fail(str(error), 2, error.detail)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"{where}{error.strerror or error}", 2)
    return _fail(f"internal error: {type(error).__name__}: {error} (--debug shows more)", 1)


def _fail(message: str, status: int, detail: str = "") -> int:
    print(f"backnorm: error: {' '.join(message.split())}", file=sys.stderr)
    if detail:
        print(detail, file=sys.stderr)
    return status


def _reader_gone() -> int:
    """As in ``| head``: no message, none from the interpreter's exit either, and the status of a
    program that SIGPIPE has ended, since neither "passed" nor "failed" would be true."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


if __name__ == "__main__":
    main()
