"""Masks against their twins: each predicate, its reach, intersections, bad sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from blocks import (
    Both,
    Causal,
    Chunk,
    Full,
    Gist,
    GQAttention,
    Mask,
    NearChunks,
    Prefix,
    SpecError,
    State,
    SymmetricWindow,
    Window,
)
from tests.twins.harness import told

T = 13

MASKS: list[Mask] = [
    Causal(),
    Full(),
    Window(1),
    Window(4),
    Window(100),
    Chunk(3),
    Chunk(1),
    Prefix(5),
    SymmetricWindow(2),
    Gist(4, 6),
    Causal() & Gist(4, 6),
    NearChunks(3, before=2, after=1),
    Window(4) & Chunk(3),
    Causal() & NearChunks(3),
    Prefix(5) & Full(),
]
TWINS = [(mask, told(mask)) for mask in MASKS]
IDS = [repr(mask) for mask, _ in TWINS]


@pytest.mark.parametrize(("mask", "twin"), TWINS, ids=IDS)
def test_predicate(mask: Mask, twin: Any) -> None:
    place = torch.arange(T)
    wanted = torch.tensor([[twin(q, k) for k in range(T)] for q in range(T)])
    found = mask(place[:, None], place[None])
    assert found.dtype == torch.bool and torch.equal(found, wanted)
    far = mask(torch.tensor([[7]]), place)
    assert torch.equal(far[0], wanted[7])


@pytest.mark.parametrize(("mask", "twin"), TWINS, ids=IDS)
def test_reach_is_the_furthest_key_back(mask: Mask, twin: Any) -> None:
    if mask.reach is not None:
        back = max(q - k + 1 for q in range(T) for k in range(q + 1) if twin(q, k))
        ahead = any(twin(q, k) for q in range(T) for k in range(q + 1, T))
        assert back <= mask.reach and (not ahead or isinstance(mask, NearChunks))
        assert back == min(mask.reach, T) or isinstance(mask, Both)


@pytest.mark.parametrize(("mask", "twin"), TWINS, ids=IDS)
def test_attention_obeys(mask: Mask, twin: Any) -> None:
    """A key that isn't seen gets a gradient of exactly zero, one that is seen doesn't."""
    attention = GQAttention(8, heads=2, mask=mask).double()
    x = torch.randn(1, T, 8, dtype=torch.float64, requires_grad=True)
    y = attention(x)
    for q in range(T):
        (grad,) = torch.autograd.grad(y[0, q].sum(), x, retain_graph=True)
        reached = grad[0].abs().amax(-1) > 0
        assert reached.tolist() == [twin(q, k) or k == q for k in range(T)]


@pytest.mark.parametrize(("mask", "twin"), TWINS, ids=IDS)
def test_memory_is_as_long_as_the_reach(mask: Mask, twin: Any) -> None:
    state = State.of(GQAttention(8, heads=2, mask=mask), 1, room=50)
    assert state.content.k.shape[2] == min(mask.reach or 50, 50)
    assert state.nbytes == 2 * 8 * 4 * min(mask.reach or 50, 50)


def test_masks_are_values() -> None:
    assert Window(3) == Window(3) != Window(4) and hash(Window(3)) == hash(Window(3))
    assert Window(3) != Chunk(3) and repr(Window(3)) == "Window(size=3)"
    assert Causal() & Window(3) == Both(Causal(), Window(3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Window(3).size = 4  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("kind", [Window, Chunk, Prefix])
@pytest.mark.parametrize("size", [0, -1, 2.0, "3", None, True])
def test_bad_sizes(kind: Any, size: Any) -> None:
    with pytest.raises(SpecError, match="size"):
        kind(size)


def test_only_masks_meet() -> None:
    with pytest.raises(SpecError):
        Window(3) & 5  # pyright: ignore[reportOperatorIssue]
