"""The commands, one file each.  Add a file that defines ``command``, and a line here.

Such a file imports click and other files of this kind at its top, and all else inside its
functions, so that ``--help`` answers at once.  A command returns its exit status, or None for 0.
"""

import click

from commands import (
    audit,
    bench,
    check,
    completion,
    contract,
    derive,
    export,
    generate,
    list_layers,
    plot,
    prove,
    run,
    verify,
)

# In the order of the help.
COMMANDS: dict[str, click.Command] = {
    "run": run.command,
    "derive": derive.command,
    "export": export.command,
    "generate": generate.command,
    "verify": verify.command,
    "prove": prove.command,
    "check": check.command,
    "contract": contract.command,
    "audit": audit.command,
    "list": list_layers.command,
    "bench": bench.command,
    "plot": plot.command,
    "completion": completion.command,
}
