"""A step as a graph of a GPU: what it gives lies where the next step puts its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import Mamba, Spec, Window
from blocks.ops import gpu
from blocks.speed import quick
from blocks.speed.slots import Slots
from blocks.speed.still import settled
from blocks.state import leaves
from tests.speed.test_optimize import ATTENTION, model, written

KINDS = {
    "attention": ATTENTION,
    "ring": blocks.replace(ATTENTION, mask=Window(6)),
    "mamba": Spec(Mamba, inner=64, state_dim=4),
}


class Graphs:
    """Stands for torch.compile: what a graph gives and remembers is overwritten by the next run."""

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []
        self.begun = 0
        self.own: list[Tensor] = []

    def compile(self, step: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
        self.options.append(options)

        def run(tokens: Tensor, positions: Tensor, slots: Any) -> Tensor:
            for tensor in self.own:
                tensor.fill_(math.nan)
            logits = step(tokens, positions, slots)
            self.own = [logits]
            for content in leaves(slots):
                if not isinstance(content, Slots):
                    self.own += [tensor for _, tensor in content.tensors()]
            return logits

        return run

    def begin(self) -> None:
        self.begun += 1


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    made = Graphs()
    monkeypatch.setattr(gpu, "on", lambda x: True)
    monkeypatch.setattr(torch, "compile", made.compile)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", made.begin)
    return made


@pytest.mark.filterwarnings("ignore:without a compiled step")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten_under_the_caller(kind: str, graphs: Graphs) -> None:
    first = model(KINDS[kind])
    second = blocks.optimize(first)
    assert any("compiled" in line for line in second.prepared), second.prepared
    before = graphs.begun
    torch.testing.assert_close(written(second), written(first), rtol=1e-4, atol=1e-4)
    assert graphs.begun == before + 7, "each token begins a step"
    assert graphs.options == [{"fullgraph": True, "mode": "reduce-overhead"}]


def test_what_stays_where_it_is(graphs: Graphs) -> None:
    """Keys and values are written in place and read there; torch is told so."""
    second = blocks.optimize(model(ATTENTION))
    with torch.no_grad():
        state = second.init_state(1, 20)
        held = [t for content in leaves(state.content) for _, t in content.tensors()]
        places = [t.data_ptr() for t in held]
        for token in (3, 4, 5):
            second(torch.tensor([[token]]), None, state)
    now = [t for content in leaves(state.prepared) for _, t in content.tensors()]
    assert [t.data_ptr() for t in now] == places
    assert all(t._dynamo_static_input_type == "unguarded" for t in now)  # pyright: ignore[reportAttributeAccessIssue]


def test_one_graph_for_every_room() -> None:
    """Being told so, torch makes no further graph for other memories."""
    second = model(ATTENTION)
    made: list[Any] = []

    def note(graph: Any, inputs: Any) -> Any:
        made.append(graph)
        return graph.forward

    step: Any = torch.compile(quick.Quick(second)._step, backend=note, fullgraph=True)
    with torch.no_grad():
        for room in (9, 12, 40):
            state = second.init_state(1, room)
            begun = state.begin(1, 1)
            contents = quick.slots_of(state.content)
            settled(contents)
            step(torch.tensor([[3]]), begun.positions, contents)
    assert len(made) == 1


def test_the_device_decides() -> None:
    assert quick.compile_options(True) == {"fullgraph": True, "mode": "reduce-overhead"}
    assert quick.compile_options(False) == {"fullgraph": True}
    assert not quick.Quick(model(ATTENTION)).on_gpu
