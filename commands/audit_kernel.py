"""``backnorm audit kernel``: is somebody's backward pass right, and if not, what is wrong in it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from commands.help import Command

if TYPE_CHECKING:
    from verify.audit.kernel_report import Report
    from verify.audit.sandbox import Request
    from verify.report import Result

LAYERS = ("batch_norm", "layer_norm", "rms_norm")
MOST = 6  # rows of the accuracy table that are printed


@click.command(cls=Command)
@click.argument("target")
@click.option(
    "--layer",
    type=click.Choice(LAYERS),
    metavar="NAME",
    default=LAYERS[0],
    help=f"{', '.join(LAYERS[:-1])} or {LAYERS[-1]}.",
)
@click.option("--args", "roles", metavar="NAMES", default="", help="What its arguments are.")
@click.option("--returns", metavar="NAMES", default="", help="What it returns, as dx,dbeta,dgamma.")
@click.option("--forward", metavar="NAME", default="", help="The forward that makes its cache.")
@click.option("--axis", type=click.Choice(["1", "-1"]), default="1", help="Where its channels are.")
@click.option(
    "--eps", type=click.FloatRange(min=0), metavar="X", help="The epsilon that it has built in."
)
@click.option("--quick", is_flag=True, help="The verdict alone: no accuracy, no contract.")
@click.option("--speed", is_flag=True, help="Time it beside ours, too.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="S",
    default=60,
    help="Seconds that it may take: 60.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=256),
    metavar="MIB",
    default=4096,
    help="Memory that it may take: 4096.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def command(
    target: str,
    layer: str,
    roles: str,
    returns: str,
    forward: str,
    axis: str,
    eps: float | None,
    quick: bool,
    speed: bool,
    timeout: float,
    memory: int,
    as_json: bool,
) -> int:
    """Is a backward pass right?  If not: which mistake, in which line?

    TARGET is file.py:function, package.module:function, or a class in their place.  Its code is
    EXECUTED, with your rights, in a process of its own that is limited in time and memory but in
    nothing else: name no file that you would not run.

    It may be backward(dy, x, gamma, mean, var, eps) in any order and selection, backward(dy, cache)
    beside its forward, a class with both, a torch.autograd.Function, a PyTorch module, or a PyTorch
    function of (x, gamma, beta). Arguments are known by their names; --args says what they are
    where that is not enough: "dy,x,gamma,mean,inv_std".

    The verdict rests on exact arithmetic, at a dozen random batches. Exit status: 0 if every
    gradient that it returns is right, 1 if one is wrong, 2 if it has no verdict.
    """
    from commands.console import Progress
    from derive.errors import InputError
    from verify.audit.kernel_report import audit
    from verify.audit.sandbox import Request
    from verify.audit.shape import Mapped

    if axis == "-1" and layer != LAYERS[0]:
        raise click.UsageError(f"--axis goes with {LAYERS[0]}: {layer} has its features last")
    mapped = Mapped(_names(roles), _names(returns), forward)
    request = Request(
        target,
        layer,
        (mapped.args, mapped.returns, mapped.forward),
        axis=int(axis),
        timeout=timeout,
        memory=memory * 2**20,
    )
    tasks = [*([] if quick else ["accuracy", "contract"]), *(["speed"] if speed else [])]
    progress = Progress()
    try:
        report = audit(request, tasks, eps, progress)
    except InputError as error:
        raise InputError(" ".join(str(error).split())) from error
    finally:
        progress.done()
    if as_json:
        _echo_json(report)
    else:
        _show(report)
    return 0 if report.right else 1


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text.strip() else ()


def _show(report: Report) -> None:
    from commands.console import say

    say(f"{report.request.target}: called as {report.shape}, for {report.request.layer}")
    if report.eps is not None:
        say(f"It takes no epsilon: {report.eps:g} is assumed to be built in (--eps says another).")
    print()
    _show_gradients(report)
    if report.right:
        say(_guarantee(report))
    _show_reasons(report)
    _show_numerics(report)
    for warning in report.warnings:
        say(f"warning: {warning}")
    say(_verdict(report))


def _guarantee(report: Report) -> str:
    if report.exact:
        return (
            f"exact: on rational numbers {report.exact} of {report.exact} results are equal to the "
            "true gradients, without a tolerance."
        )
    return "checked: in floating point, to nine digits, against exact values."


def _verdict(report: Report) -> str:
    wrong = [gradient.name for gradient in report.gradients if not gradient.right]
    names = ", ".join(gradient.name for gradient in report.gradients)
    return f"{', '.join(wrong)} WRONG" if wrong else f"right: {names}"


def _show_gradients(report: Report) -> None:
    from rich.text import Text

    from commands.console import print_table, say
    from commands.results import COLORS
    from verify.audit.kernel_report import worst_error
    from verify.audit.symptoms import where

    rows = []
    for gradient in report.gradients:
        status = Text(*(("right", COLORS["pass"]) if gradient.right else ("WRONG", COLORS["FAIL"])))
        cells = (gradient.name, str(len(gradient.errors)), worst_error(gradient))
        rows.append((*cells, f"{gradient.limit:.0e}", status))
    columns = ("gradient", "batches", "worst error", "limit", "result")
    print_table(columns, rows, right=columns[1:4])
    print()
    for gradient in report.gradients:
        if not gradient.right and (said := where(gradient)):
            say(said)


def _show_reasons(report: Report) -> None:
    from commands.console import WIDEST, Console, is_ascii, say
    from verify.audit.kernel_text import Words, layer_of

    console = Console()
    width = min(console.width, WIDEST)
    if report.diagnoses:
        print()
    for diagnosis in report.diagnoses:
        words = Words(layer_of(report, diagnosis), ascii=is_ascii(), width=width)
        say(words.heading(diagnosis))
        for line in words.sides(diagnosis):
            console.print(line, soft_wrap=True)
        for sentence in words.same(diagnosis):
            say(sentence)
    for layer in report.layers:
        say(f"It is right for {layer}: --layer {layer}")
    for gradient in report.gradients:
        if gradient.rounded:
            say(f"{gradient.name}: float32 sums. It is right to single precision, and no further.")
    if report.unexplained and not report.layers:
        names = " and ".join(report.unexplained)
        say(f"{names}: no single mistake in the derivation explains it.")
    if report.form is not None:
        say(Words(layer_of(report), ascii=is_ascii(), width=width).form(report.form))


def _show_numerics(report: Report) -> None:
    from commands.console import print_table, say
    from verify.report import failures

    if report.accuracy:
        over = failures([*report.accuracy])
        within = len(report.accuracy) - len(over)
        say(f"accuracy: {within} of {len(report.accuracy)} batches within the kernel contract.")
        over.sort(key=lambda result: -_ratio(result))
        rows = [
            (f"  {r.name}", r.detail.split(":")[0], f"{r.worst:.1e} {r.unit}", f"{r.limit:.0f}")
            for r in over[:MOST]
        ]
        if rows:
            columns = ("  batch", "result", "worst error", "limit")
            print_table(columns, rows, right=columns[2:])
        if len(over) > MOST:
            say(f"  and {len(over) - MOST} more (--json has all)")
        print()
    if report.speed is not None:
        kernel, ours = report.speed["kernel"], report.speed["ours"]
        shape = " x ".join(map(str, report.speed["shape"]))
        say(
            f"speed: {kernel * 1e3:.1f} ms on float32 {shape}, ours {ours * 1e3:.1f} ms "
            f"({kernel / ours:.1f} times)"
        )
    for result in failures([*report.contract]):
        say(f"warning: contract, {result.name}: {result.detail}")


def _ratio(result: Result) -> float:
    return (result.worst or 0.0) / (result.limit or 1.0)


def _echo_json(report: Report) -> None:
    import json

    from commands.results import results_object
    from verify.audit.kernel_text import plain

    request: Request = report.request
    data: dict[str, Any] = {"schema": 1, "target": request.target, "layer": request.layer}
    data |= plain(report)
    data["accuracy"] = results_object([*report.accuracy])
    data["contract"] = results_object([*report.contract])
    click.echo(json.dumps(data, indent=1, allow_nan=False))
