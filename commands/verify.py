"""``backnorm verify``: what is proved, what is exact, what is checked; and the mutation score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.help import Command
from commands.options import (
    data_option,
    generated_folder,
    is_own,
    layer_or_study_argument,
    layer_or_study_named,
    seed_option,
)

if TYPE_CHECKING:
    from commands.console import Progress
    from derive.derivation import Derivation
    from derive.layer import Layer
    from derive.study import Study
    from verify.data import Matrix
    from verify.mutation_proofs import Tally
    from verify.report import Result
    from verify.verification import Subject


@click.command(cls=Command)
@layer_or_study_argument
@data_option
@seed_option
@click.option("--quick", is_flag=True, help="Leave out the two longest batches.")
@click.option("--mutants", is_flag=True, help="Damage all of it: is every damage noticed?")
@click.option("--json", "as_json", is_flag=True, help="Every result as JSON.")
def command(
    subject: str, data: Path | None, seed: int, quick: bool, mutants: bool, as_json: bool
) -> int:
    """Verify a layer or a study: what is proved, exact and checked.

    proved: by normal form, for every size.  exact: by an independent oracle in rationals and in a
    prime field, at sampled m.  checked: in floating point, against exact values.

    With --mutants it is the checks that are tried instead, on hundreds of damaged kernels, formulas
    and certificates.
    """
    from derive.derivation import derive_or_stage
    from derive.study import Study
    from verify.data import load

    chosen = layer_or_study_named(subject)
    if isinstance(chosen, Study):
        if data is not None or quick or mutants:
            raise click.UsageError(
                "--data, --quick and --mutants go with a layer, not with a study"
            )
        return _verify_study_and_show(chosen, seed, as_json)
    if mutants:
        if data is not None or quick:
            raise click.UsageError("--mutants goes with neither --data nor --quick")
        if is_own(chosen):
            raise click.UsageError("--mutants goes with a layer that ships, not with a file")
        return _score_and_show(chosen, seed, as_json)
    matrix = None if data is None else load(data, seed=seed)
    return verify_and_show(derive_or_stage(chosen), matrix, seed, quick, as_json)


def verify_and_show(
    derivation: Derivation,
    matrix: Matrix | None,
    seed: int,
    quick: bool = False,
    as_json: bool = False,
) -> int:
    """Run every check and print the results; the exit status."""
    from commands.console import Progress
    from verify.loading import generated_source
    from verify.verification import Subject, verify

    progress = Progress()
    if is_own(derivation.layer):
        progress("generating the kernel")
        subject = _own_subject(derivation)
    else:
        subject = Subject(derivation, generated_source(generated_folder(), derivation.layer.name))
    try:
        results = verify(subject, seed=seed, quick=quick, data=matrix, progress=progress)
    finally:
        progress.done()
    return _show(derivation.layer, results, seed, as_json)


def _own_subject(derivation: Derivation) -> Subject:
    """A user's layer with its kernel, generated in memory, or why it has none."""
    from codegen.backends import BACKENDS
    from codegen.pipeline import build
    from derive.errors import InputError
    from verify.verification import Subject

    try:
        source = BACKENDS["numpy"].render(build(derivation))
    except InputError as error:
        return Subject(derivation, None, own=True, no_kernel=str(error))
    return Subject(derivation, source, own=True)


def _verify_study_and_show(study: Study, seed: int, as_json: bool) -> int:
    from commands.console import Progress
    from verify import studies
    from verify.loading import generated_source

    progress = Progress()
    source = generated_source(generated_folder(), "batch_norm")
    try:
        results = studies.verify(study, source, seed=seed, progress=progress)
    finally:
        progress.done()
    return _show(study, results, seed, as_json)


def _show(subject: Layer | Study, results: list[Result], seed: int, as_json: bool) -> int:
    from commands import results as printed
    from commands.console import say
    from derive.study import Study
    from verify.report import failures

    if as_json:
        _echo_json(subject, seed, results=printed.results_object(results))
    else:
        printed.show_results(results)
        if not isinstance(subject, Study) and is_own(subject):
            say("exact: against the definitions themselves, run on dual numbers.")
    return 1 if failures(results) else 0


def _score_and_show(layer: Layer, seed: int, as_json: bool) -> int:
    from commands import results as printed
    from commands.console import Progress

    progress = Progress()
    try:
        found = _tallies(layer, seed, progress)
    finally:
        progress.done()
    if as_json:
        _echo_json(layer, seed, mutants=printed.tallies_object(found))
    else:
        printed.show_tallies(found)
    return 1 if any(tally.survivors for tally in found) else 0


def _tallies(layer: Layer, seed: int, progress: Progress) -> list[Tally]:
    """The fates of the damaged kernel (if the layer has one), formulas and certificate."""
    from derive.derivation import derive
    from verify import mutation, mutation_proofs
    from verify.loading import generated_source
    from verify.references import REFERENCES

    found = []
    source, reference = generated_source(generated_folder(), layer.name), REFERENCES[layer.name]
    if source is not None:
        progress("damaging the kernel")
        score = mutation.score(
            source,
            layer,
            reference,
            seed=seed,
            progress=lambda done, total: progress.tick(done, total, "damaged kernels"),
        )
        found.append(mutation_proofs.kernels(score))
    progress("damaging the formulas")
    derivation = derive(layer)
    found.append(mutation_proofs.formulas(derivation, reference, seed=seed))
    progress("damaging the certificate")
    certificates = mutation_proofs.certificates(
        derivation,
        progress=lambda done, total: progress.tick(done, total, "damaged certificates"),
    )
    return [*found, certificates]


def _echo_json(subject: Layer | Study, seed: int, **content: Any) -> None:
    import json

    from derive.study import Study

    kind = "study" if isinstance(subject, Study) else "layer"
    data = {"schema": 1, kind: subject.name, "seed": seed, **content}
    print(json.dumps(data, indent=1, allow_nan=False))
