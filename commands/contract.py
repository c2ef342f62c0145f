"""``backnorm contract``: does a module, whoever wrote it, keep the kernel contract?"""

from __future__ import annotations

import contextlib
import sys

import click

from commands.help import Command
from commands.options import seed_option


@click.command(cls=Command)
@click.argument("target")
@seed_option
@click.option("--quick", is_flag=True, help="Leave out the two longest batches.")
@click.option("--json", "as_json", is_flag=True, help="Every result as JSON.")
def command(target: str, seed: int, quick: bool, as_json: bool) -> int:
    """Hold a module of your own to the kernel contract of Batch Norm.

    TARGET is a .py file or the name of a module: my_kernels/bn.py, or
    generated.numpy_kernels.batch_norm.  Its code is EXECUTED, with your rights, as importing it
    does: name no file that you would not run.

    It needs forward(x, gamma, beta, *, eps, axis, out) -> (y, cache) and backward(dy, cache, *,
    out) -> (dx, dgamma, dbeta); what else it lacks is skipped.  Exit status: 0 if it keeps every
    clause, 1 if it does not, 2 if it cannot be tried.

    "backnorm verify contract TARGET" is the same command.
    """
    import json

    from commands import results as printed
    from commands.console import Progress, say
    from verify import accuracy, contract
    from verify.contract_target import imported
    from verify.report import failures

    progress = Progress()
    # What the module itself prints must not mix with the results.
    with contextlib.redirect_stdout(sys.stderr), imported(target) as module:
        try:
            progress(f"holding {target} to the contract")
            results = contract.run(module, seed=seed)
            progress("accuracy on hard batches")
            results += accuracy.by_case(accuracy.run(module, seed=seed, quick=quick))
        finally:
            progress.done()
    if as_json:
        found = printed.results_object(results)
        data = {"schema": 1, "target": target, "seed": seed, "results": found}
        click.echo(json.dumps(data, indent=1, allow_nan=False))
    else:
        printed.show_table(results, "clause")
        say(f"{sum(r.cases for r in results):,} cases: {printed.verdict(results)}")
    return 1 if failures(results) else 0
