"""What a state holds: contents of the kind that suffices, and no more bytes than they say."""

from __future__ import annotations

import pytest
import torch

from blocks import GenerationError, KVRing, KVState, State, Window
from blocks.state import leaves
from tests.properties.mixers import DIM, attention, hybrid


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


def test_room_can_be_made_later() -> None:
    x = torch.randn(2, 9, DIM, dtype=torch.float64)
    for module in (attention(), attention(mask=Window(3)), hybrid()):
        state = State.of(module, 2)
        parts = [state.run(module, x[:, :4])]
        state.reserve(9)
        held = [content.k for content in leaves(state.content) if isinstance(content, KVState)]
        parts.append(state.run(module, x[:, 4:]))
        torch.testing.assert_close(torch.cat(parts, 1), module(x), rtol=1e-9, atol=1e-9)
        now = [content.k for content in leaves(state.content) if isinstance(content, KVState)]
        assert all(a is b for a, b in zip(held, now, strict=True)), "it is written in place"
        with pytest.raises(GenerationError, match="room for 9"):
            state.run(module, x[:, :1])
        state.reserve(4)  # less than there is
        assert state.clock.room == 9


def test_what_can_not_be_forgotten() -> None:
    module, x = attention(), torch.randn(2, 5, DIM, dtype=torch.float64)
    state = State.of(module, 2)
    state.run(module, x)
    for n in (torch.tensor([1, -1]), torch.tensor([6, 0]), 6, -1):
        with pytest.raises(GenerationError, match="can't forget"):
            state.trim(n)
    assert state.clock.next.tolist() == [5, 5]
    state.trim(torch.tensor([2, 2]))
    assert state.clock.even and state.clock.used == 3
    state.trim(torch.tensor([0, 2]))
    assert not state.clock.even and (state.clock.used, state.clock.next.tolist()) == (3, [3, 1])


def test_two_states_share_nothing() -> None:
    module = attention()
    before = {name: id(value) for name, value in vars(module).items()}
    a, b = State.of(module, 1, room=4), State.of(module, 1, room=4)
    a.run(module, torch.randn(1, 3, DIM, dtype=torch.float64))
    assert b.clock.used == 0 and b.content.k.eq(0).all()
    after = {name: id(value) for name, value in vars(module).items()}
    assert after == before and not list(module.buffers()), "nothing is kept in the module"
