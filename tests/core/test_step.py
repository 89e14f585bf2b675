"""Step and Clock: positions, lengths, and what layers share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blocks import (
    Chain,
    Clock,
    DynamicScaling,
    GenerationError,
    GQAttention,
    LinearScaling,
    RoPE,
    Spec,
    State,
    Step,
    Window,
)


def test_plain() -> None:
    step = Step.plain(torch.zeros(2, 3, 8))
    assert step.positions.tolist() == [[0, 1, 2]] and step.real is None and step.clock is None


def test_once_makes_once_a_key() -> None:
    step, made = Step.plain(torch.zeros(1, 2, 4)), []
    for key in ("a", "a", ("a", 1), "a"):
        step.once(key, lambda key=key: made.append(key))
    assert made == ["a", ("a", 1)]


def test_once_keeps_what_is_none_or_false() -> None:
    step, calls = Step.plain(torch.zeros(1, 2, 4)), []
    for _ in range(3):
        assert step.once("x", lambda: calls.append(1)) is None
    assert len(calls) == 1


def test_two_calls_share_nothing() -> None:
    x = torch.zeros(1, 2, 4)
    one, other = Step.plain(x), Step.plain(x)
    one.once("a", lambda: 1)
    assert other.once("a", lambda: 2) == 2


def test_layers_with_other_options_never_share_a_table() -> None:
    """The trap of a cache keyed by hand: a second theta, scaling, share or pairing is ignored."""
    q = k = torch.randn(1, 2, 5, 8)
    options: list[dict[str, Any]] = [
        {"theta": 10.0},
        {"theta": 20.0},
        {"theta": 10.0, "rotated": 0.5},
        {"theta": 10.0, "scaling": LinearScaling(2.0)},
        {"theta": 10.0, "scaling": LinearScaling(3.0)},
        {"theta": 10.0, "scaling": DynamicScaling(2.0, 3)},
        {"theta": 10.0, "pairing": "adjacent"},
    ]
    ropes = [RoPE(8, 2, 2, **option) for option in options]
    shared = Step.plain(torch.zeros(1, 5, 16))
    for rope in ropes + ropes[::-1]:
        alone = rope(q, k, Step.plain(torch.zeros(1, 5, 16)))
        together = rope(q, k, shared)
        assert torch.equal(together[0], alone[0]) and torch.equal(together[1], alone[1])
    both = [rope(q.double(), k.double(), shared)[0] for rope in ropes]
    assert all(y.dtype == torch.float64 for y in both)


def test_windows_of_two_sizes_never_share_a_mask() -> None:
    steps = {f"a{n}": Spec(GQAttention, heads=2, mask=Window(n)) for n in (2, 3, 2, 5)}
    chain = Spec(Chain, steps=steps)(8)
    x = torch.randn(1, 7, 8)
    together = chain(x, Step.plain(x))
    alone = x
    for part in chain.children():
        alone = part(alone, Step.plain(alone))
    assert torch.equal(together, alone)


def test_length_counts_real_tokens() -> None:
    real = torch.tensor([[True, True, False], [True, True, True]])
    positions = (real.cumsum(1) - 1).clamp(min=0)
    assert Step(positions, real=real).length.tolist() == [[2], [3]]
    assert Step.plain(torch.zeros(4, 3, 1)).length.tolist() == [[3]]


def test_length_with_a_clock_goes_on() -> None:
    state = State.of(GQAttention(4, heads=1), 2)
    step = state.begin(2, 3, torch.tensor([[True] * 3, [False, True, True]]))
    assert step.positions.tolist() == [[0, 1, 2], [0, 0, 1]] and step.length.tolist() == [[3], [2]]
    state.end(step)
    step = state.begin(2, 2)
    assert step.positions.tolist() == [[3, 4], [2, 3]] and step.length.tolist() == [[5], [4]]


def test_the_clock_keeps_time() -> None:
    clock = Clock(2, None, None)
    assert clock.next.tolist() == [0, 0] and clock.even and clock.used == 0
    clock.advance(3, None)
    assert clock.next.tolist() == [3, 3] and clock.even and clock.used == 3
    clock.advance(2, torch.tensor([[True, False], [True, True]]))
    assert clock.next.tolist() == [4, 5] and not clock.even and clock.used >= 5
    assert isinstance(clock.next, torch.Tensor), "an int would recompile every step"


def test_the_clock_of_a_full_state_counts_only_what_is_real() -> None:
    clock = Clock(2, 4, None)
    for _ in range(4):
        clock.advance(1, torch.tensor([[True], [False]]))
        clock.advance(1, torch.tensor([[False], [True]]))
    assert clock.next.tolist() == [4, 4] and clock.used == 4


@pytest.mark.parametrize(("batch", "room"), [(0, None), (-1, 3), (1, 0), (2, -5)])
def test_a_state_of_nothing_is_refused(batch: int, room: int | None) -> None:
    with pytest.raises(GenerationError, match="not a whole number above zero"):
        State.of(GQAttention(4, heads=1), batch, room)


def test_another_batch_is_refused() -> None:
    state = State.of(GQAttention(4, heads=1), 2)
    with pytest.raises(GenerationError, match="2 sequences, the input has 3") as caught:
        state.begin(3, 1)
    assert caught.value.hint


def test_no_room_left_is_refused_and_changes_nothing() -> None:
    attention = GQAttention(4, heads=1)
    state, x = State.of(attention, 1, room=3), torch.randn(1, 3, 4)
    state.run(attention, x[:, :2])
    with pytest.raises(GenerationError, match="room for 3"):
        state.run(attention, x[:, :2])
    torch.testing.assert_close(state.run(attention, x[:, 2:]), attention(x)[:, 2:])
    with pytest.raises(GenerationError, match="room for 3"):
        state.run(attention, x[:, :1])


def test_padding_takes_no_room() -> None:
    attention = GQAttention(4, heads=1)
    state, x = State.of(attention, 2, room=2), torch.randn(2, 2, 4)
    state.run(attention, x, torch.tensor([[True, True], [False, True]]))
    mask = torch.tensor([[False], [True]])
    assert state.run(attention, x[:, :1], mask).isfinite().all()
    with pytest.raises(GenerationError, match="room"):
        state.run(attention, x[:, :1], mask)
