"""State against a plain list: any order of append, select, copy and trim, for each content."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch import Tensor, nn

from blocks import (
    MLP,
    ALiBi,
    Chain,
    Chunk,
    GenerationError,
    GQAttention,
    KVRing,
    KVState,
    Parallel,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    State,
    Window,
)

DIM, ROOM = 8, 40


def attention(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    qk = (Spec(RoPE, theta=10.0),)
    return GQAttention(DIM, heads=4, kv_heads=2, qk=qk, **options).double()


def hybrid() -> nn.Module:
    """All kinds of content under one clock, in branches and residuals."""
    torch.manual_seed(0)
    far = Spec(GQAttention, heads=2, scores=(Spec(ALiBi),))
    near = Spec(GQAttention, heads=2, mask=Window(3))
    both = Spec(Parallel, branches={"far": far, "near": near, "none": Spec(MLP, hidden=4)})
    steps = {"mix": Spec(Residual, inner=both, norm_in=RMSNorm), "mlp": Spec(MLP, hidden=4)}
    return Spec(Chain, steps=steps)(DIM).double()


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

    @invariant()
    def clock_is_right(self) -> None:
        if hasattr(self, "rows"):
            assert self.state.clock.next.tolist() == [len(row) for row in self.rows]


def leaves(tree: Any) -> Any:
    if isinstance(tree, dict):
        for part in tree.values():
            yield from leaves(part)
    elif tree is not None:
        yield tree


KINDS: dict[str, tuple[nn.Module, int | None]] = {
    "growing": (attention(), None),
    "preallocated": (attention(), ROOM),
    "small_room": (attention(), 9),
    "ring": (attention(mask=Window(5)), None),
    "ring_with_room": (attention(mask=Window(5)), ROOM),
    "ring_of_one": (attention(mask=Window(1)), None),
    "chunk_ring": (attention(mask=Chunk(4)), None),
    "hybrid": (hybrid(), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_against_a_list(kind: str) -> None:
    module, room = KINDS[kind]
    machine = type("Of" + kind, (Machine,), {"module": module, "room": room})
    limits = settings(max_examples=50, stateful_step_count=16, deadline=None, derandomize=True)
    with torch.no_grad():
        run_machine(machine, limits)


def run_machine(machine: Any, limits: Any) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=limits)


def test_contents_are_of_the_kind_that_suffices() -> None:
    assert type(State.of(attention(), 1).content) is KVState
    assert type(State.of(attention(mask=Window(5)), 1, room=9).content) is KVRing
    assert type(State.of(attention(mask=Window(5)), 1, room=4).content) is KVState
    tree = State.of(hybrid(), 1).content
    assert set(tree) == {"mix", "mlp"} and tree["mlp"] is None and tree["mix"]["none"] is None


def test_nbytes() -> None:
    for room, slots in ((None, 0), (10, 10)):
        state = State.of(attention(), 3, room)
        assert (
            state.nbytes == 2 * 3 * 2 * slots * 2 * 8
        )  # k and v, rows, heads, slots, width, bytes
    module = attention(mask=Window(5))
    state = State.of(module, 1)
    before = state.nbytes
    state.run(module, torch.randn(1, 30, DIM, dtype=torch.float64))
    assert state.nbytes == before == 2 * 2 * 5 * 2 * 8, "a ring never grows"
    half = State.of(module, 1, dtype=torch.bfloat16)
    assert half.nbytes == before // 4


def test_growth_is_by_doubling() -> None:
    module, sizes = attention(), set()
    state = State.of(module, 1)
    for _ in range(300):
        state.run(module, torch.randn(1, 1, DIM, dtype=torch.float64))
        sizes.add(state.content.k.shape[2])
    assert len(sizes) <= 4


def test_a_preallocated_state_is_written_in_place() -> None:
    module = attention()
    state = State.of(module, 1, room=8)
    where = state.content.k.data_ptr()
    for _ in range(8):
        state.run(module, torch.randn(1, 1, DIM, dtype=torch.float64))
    assert state.content.k.data_ptr() == where and state.content.k.shape[2] == 8


def test_two_states_share_nothing() -> None:
    module = attention()
    before = {name: id(value) for name, value in vars(module).items()}
    a, b = State.of(module, 1, room=4), State.of(module, 1, room=4)
    a.run(module, torch.randn(1, 3, DIM, dtype=torch.float64))
    assert b.clock.used == 0 and b.content.k.eq(0).all()
    after = {name: id(value) for name, value in vars(module).items()}
    assert after == before and not list(module.buffers()), "nothing is kept in the module"
