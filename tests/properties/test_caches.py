"""State against a plain list: any order of append, select, copy and trim, for each content."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor, nn

from blocks import Chain, Chunk, GenerationError, Spec, State, Window
from blocks.state import leaves
from tests.properties.mixers import DIM, MIXERS, attention, drawn, hybrid

ROOM = 40


class Machine(RuleBasedStateMachine):
    """A state beside the list of every row's real tokens."""

    module: nn.Module
    room: int | None

    @initialize(rows=st.integers(1, 3))
    def start(self, rows: int) -> None:
        self.rows = [torch.empty(0, DIM, dtype=torch.float64) for _ in range(rows)]
        self.state = State.of(self.module, rows, self.room)
        self.kept: list[tuple[State, list[Tensor]]] = []
        self.seed = 0

    def feed(self, mask: Tensor, given: Tensor | None) -> None:
        self.seed += 1
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.randn(*mask.shape, DIM, dtype=torch.float64, generator=generator)
        longest = max(len(row) + int(real.sum()) for row, real in zip(self.rows, mask, strict=True))
        if self.room is not None and longest > self.room:
            with pytest.raises(GenerationError, match="room"):
                self.state.run(self.module, x, given)
            return
        y = self.state.run(self.module, x, given)
        assert y.isfinite().all()
        for i, real in enumerate(mask):
            self.rows[i] = torch.cat([self.rows[i], x[i, real]])
            if real.any():
                wanted = self.module(self.rows[i][None])[0, -int(real.sum()) :]
                torch.testing.assert_close(y[i, real], wanted, rtol=1e-9, atol=1e-9)

    @rule(new=st.integers(1, 6))
    def append(self, new: int) -> None:
        self.feed(torch.ones(len(self.rows), new, dtype=torch.bool), None)

    @rule(data=st.data(), new=st.integers(1, 6))
    def append_ragged(self, data: Any, new: int) -> None:
        flags = st.lists(st.booleans(), min_size=new, max_size=new)
        mask = torch.tensor([data.draw(flags) for _ in self.rows])
        self.feed(mask, mask)

    @rule(data=st.data())
    def select(self, data: Any) -> None:
        index = st.lists(st.integers(0, len(self.rows) - 1), min_size=1, max_size=3)
        chosen = data.draw(index)
        self.kept.append((self.state, self.rows))
        self.state = self.state.select(torch.tensor(chosen))
        self.rows = [self.rows[i] for i in chosen]

    @rule()
    def copy(self) -> None:
        self.kept.append((self.state.copy(), list(self.rows)))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def go_back(self, data: Any) -> None:
        at = data.draw(st.integers(0, len(self.kept) - 1))
        state, self.rows = self.kept.pop(at)
        self.state = state

    @rule(n=st.integers(0, 4))
    def trim(self, n: int) -> None:
        shortest = min(len(row) for row in self.rows)
        parts = list(leaves(self.state.content))
        if n > shortest or not all(part.trims for part in parts):
            with pytest.raises(GenerationError, match="forget"):
                self.state.trim(n)
            return
        self.state.trim(n)
        self.rows = [row[: len(row) - n] for row in self.rows]

    @rule(data=st.data())
    def trim_each(self, data: Any) -> None:
        counts = [data.draw(st.integers(0, min(4, len(row)))) for row in self.rows]
        if not self.state.trims:
            return
        self.state.trim(torch.tensor(counts))
        self.rows = [row[: len(row) - n] for row, n in zip(self.rows, counts, strict=True)]

    @rule(new=st.integers(1, 6))
    def read_on_and_go_back(self, new: int) -> None:
        state, rows = self.state.bookmark(), list(self.rows)
        self.append(new)
        self.state, self.rows = state, rows

    @invariant()
    def clock_is_right(self) -> None:
        if hasattr(self, "rows"):
            assert self.state.clock.next.tolist() == [len(row) for row in self.rows]


def module(*kinds: str) -> nn.Module:
    """One layer, or several under one clock."""
    torch.manual_seed(0)
    return drawn(Spec(Chain, steps={kind: MIXERS[kind] for kind in kinds})(DIM))


KINDS: dict[str, tuple[nn.Module, int | None]] = {
    "growing": (attention(), None),
    "preallocated": (attention(), ROOM),
    "small_room": (attention(), 9),
    "ring": (attention(mask=Window(5)), None),
    "ring_with_room": (attention(mask=Window(5)), ROOM),
    "ring_of_one": (attention(mask=Window(1)), None),
    "chunk_ring": (attention(mask=Chunk(4)), None),
    "branches": (hybrid(), None),
    "latent": (module("latent"), None),
    "latent_with_room": (module("latent"), 9),
    "mamba": (module("mamba"), None),
    "mamba2": (module("mamba2"), ROOM),
    "rwkv": (module("rwkv"), None),
    "lstm": (module("lstm"), None),
    "delta": (module("delta"), None),
    "hybrid": (module("mamba", "attention", "window", "rwkv"), ROOM),
}


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", [10, pytest.param(150, marks=pytest.mark.slow)])
def test_against_a_list(kind: str, examples: int) -> None:
    module, room = KINDS[kind]
    machine = type("Of" + kind, (Machine,), {"module": module, "room": room})
    limits = settings(max_examples=examples, stateful_step_count=16)
    run_state_machine_as_test(machine, settings=limits)
