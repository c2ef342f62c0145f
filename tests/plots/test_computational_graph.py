"""The graph is the layer's: nodes and arrows come from the definitions and from reverse mode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from derive.expr import Var
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM
from tests.altered import ALTERED
from tests.cli.calling import call

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from plots.computational_graph import Graph, figure, graph_of


def arrows(pairs: tuple[tuple[Var, Var], ...]) -> set[str]:
    return {f"{tail.label} {head.label}" for tail, head in pairs}


def test_batch_norm() -> None:
    graph = graph_of(BATCH_NORM)
    assert arrows(graph.forward) == {
        *("x mu", "x var", "mu var", "x x_hat", "mu x_hat", "var x_hat"),
        *("gamma y", "x_hat y", "beta y"),
    }
    levels = {var.label: level for var, level in graph.levels.items()}
    assert levels == {"x": 0, "mu": 1, "var": 2, "x_hat": 3, "gamma": 3, "beta": 3, "y": 4}


@pytest.mark.parametrize("name", LAYERS)
def test_adjoints_flow_along_the_same_arrows_backwards(name: str) -> None:
    graph = graph_of(LAYERS[name])
    assert arrows(graph.backward) == arrows(tuple((b, a) for a, b in graph.forward))


def test_another_definition_gives_another_graph() -> None:
    graphs = [graph_of(layer) for layer, _ in ALTERED.values()]
    assert any(arrows(g.forward) != arrows(graph_of(BATCH_NORM).forward) for g in graphs)
    without = replace(BATCH_NORM, definitions=BATCH_NORM.definitions[:2], learnt=())
    assert graph_of(without).levels.keys() < graph_of(BATCH_NORM).levels.keys()


def test_every_quantity_and_its_adjoint_is_written() -> None:
    texts = [text.get_text() for text in figure(BATCH_NORM).axes[0].texts]
    written = [text for text in texts if text]
    graph: Graph = graph_of(BATCH_NORM)
    assert len(written) == 2 * len(graph.levels)
    assert r"$\hat{x}_i$" in written
    assert texts.count("") == len(graph.forward) + len(graph.backward)


@pytest.mark.parametrize("what", ["graph", "jacobian"])
def test_the_same_bytes_every_time(what: str, tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    assert call("plot", what, "--out", str(first)).status == 0
    assert call("plot", what, "--out", str(second)).status == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_layer_of_ones_own(tmp_path: Path) -> None:
    picture = tmp_path / "own.svg"
    assert call("plot", "graph", "--layer", "examples/nameless.layer", "--out", str(picture)).out
    assert picture.exists()
