"""Arguments and options that several commands have, and what their values stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from derive.errors import InputError
    from derive.layer import Layer
    from derive.render.document import Form
    from derive.render.publication import Publication
    from derive.study import Study


def layer_names() -> list[str]:
    from derive.layers import LAYERS

    return list(LAYERS)


def study_names() -> list[str]:
    from derive.studies import STUDIES

    return list(STUDIES)


def is_file(name: str) -> bool:
    """Whether a layer's name stands for a file: it ends in .layer, has a separator or exists."""
    from derive.layers import LAYERS
    from derive.studies import STUDIES

    if name in LAYERS or name in STUDIES:
        return False
    path = Path(name)
    return path.suffix == ".layer" or name != path.name or path.is_file()


def is_own(layer: Layer) -> bool:
    """Whether a layer is a user's, whatever it is called, and not one that ships."""
    from derive.layers import LAYERS

    return LAYERS.get(layer.name) is not layer


def layer_named(name: str) -> Layer:
    """The layer of that name, or in that file.

    Raises InputError, with the nearest name or the place in the file, if there is none.
    """
    from derive.layers import LAYERS

    if name in LAYERS:
        return LAYERS[name]
    if is_file(name):
        from derive.grammar import load

        return load(name)
    raise _unknown(name, layers=list(LAYERS))


def layer_or_study_named(name: str) -> Layer | Study:
    """The layer or the study of that name.  Raises InputError like layer_named."""
    from derive.layers import LAYERS
    from derive.studies import STUDIES

    if name in STUDIES:
        return STUDIES[name]
    if name in LAYERS or is_file(name):
        return layer_named(name)
    raise _unknown(name, layers=list(LAYERS), studies=list(STUDIES))


def published(
    subject: str,
    *,
    notation: str,
    macros: Sequence[str] = (),
    wrt: str = "all",
    form: Form = "all",
    steps: bool = True,
    symbols: bool = True,
) -> Publication:
    """The derivation of a layer, or the study, of that name or in that file, laid out.

    Raises InputError where a name, an option or the file will not do.
    """
    from derive.render.macros import with_macros
    from derive.render.notation_file import notation as notation_named
    from derive.render.publication import publication
    from derive.study import Study

    chosen = layer_or_study_named(subject)
    layer = chosen.layer if isinstance(chosen, Study) else chosen
    names = with_macros(notation_named(notation, layer), layer, macros)
    return publication(chosen, wrt=wrt, form=form, steps=steps, notation=names, symbols=symbols)


def _unknown(name: str, **known: list[str]) -> InputError:
    """``known`` are the names of each kind, by the plural of the kind."""
    import difflib

    from derive.errors import InputError

    names = [one for group in known.values() for one in group]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=0.4)
    guess = f"; did you mean {near[0]}?" if near else ""
    lists = "; ".join(f"{kind}: {', '.join(group)}" for kind, group in known.items())
    return InputError(f"there is no layer {name!r}{guess} ({lists})")


def complete_layer(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in layer_names() if name.startswith(incomplete)]


def complete_layer_or_study(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    names = [*layer_names(), *study_names()]
    return [name for name in names if name.startswith(incomplete)]


def complete_notation(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from derive.render.notation_file import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def generated_folder() -> Path:
    """The project's own ``generated/``, in the checkout or where it is installed."""
    import generated

    return Path(generated.__path__[0])


layer_argument = click.argument(
    "layer", metavar="[LAYER|FILE]", default="batch_norm", shell_complete=complete_layer
)
layer_or_study_argument = click.argument(
    "subject",
    metavar="[LAYER|STUDY|FILE]",
    default="batch_norm",
    shell_complete=complete_layer_or_study,
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of every random draw.",
)
notation_option = click.option(
    "--notation",
    default="paper",
    show_default=True,
    metavar="NAME",
    help="Symbols: paper, lamp, layer, code, plain, or a TOML file of your own.",
    shell_complete=complete_notation,
)
wrt_option = click.option(
    "--wrt",
    default="all",
    show_default=True,
    metavar="INPUT",
    help="x, gamma, beta (what the layer has), or all.",
)
form_option = click.option(
    "--form",
    default="all",
    show_default=True,
    type=click.Choice(["staged", "closed", "jacobian", "orders", "all"]),
    metavar="FORM",
    help="staged, closed, jacobian, orders or all.",
)
steps_option = click.option(
    "--steps/--no-steps", default=True, help="Every step, or only what it leads to."
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A matrix (m, C) in a .npy, .npz or .csv file, or by name: wine, blood-panel.",
)
