"""Intersections of any masks, of any sizes, against loops; attention that obeys them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import Causal, Chunk, Full, Mask, Prefix, Window
from blocks.state import State
from tests.properties.mixers import DIM, attention

Sees = Callable[[int, int], bool]
TWINS: dict[Any, Callable[[int], Sees]] = {
    Causal: lambda n: lambda q, k: k <= q,
    Full: lambda n: lambda q, k: True,
    Window: lambda n: lambda q, k: q - n < k <= q,
    Chunk: lambda n: lambda q, k: k <= q and q // n == k // n,
    Prefix: lambda n: lambda q, k: k <= q or (q < n and k < n),
}


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, Sees]:
    """One to three masks that meet, and what they let through, said plainly."""
    kinds = draw(st.lists(st.sampled_from(list(TWINS)), min_size=1, max_size=3))
    sizes = [draw(st.integers(1, 9)) for _ in kinds]
    found = [k() if k in (Causal, Full) else k(n) for k, n in zip(kinds, sizes, strict=True)]
    twins = [TWINS[kind](size) for kind, size in zip(kinds, sizes, strict=True)]
    whole = found[0]
    for one in found[1:]:
        whole = one & whole if draw(st.booleans()) else whole & one
    return whole, lambda q, k: all(twin(q, k) for twin in twins)


TOKENS = st.integers(1, 11)


@given(masks(), TOKENS, st.integers(0, 20))
def test_the_predicate_is_the_loop(pair: tuple[Mask, Sees], tokens: int, start: int) -> None:
    mask, sees = pair
    places = torch.arange(start, start + tokens)
    wanted = [[sees(q, k) for k in places.tolist()] for q in places.tolist()]
    assert mask(places[:, None], places[None]).tolist() == wanted
    if mask.reach is not None:
        seen = [(q, k) for q in range(tokens) for k in range(tokens) if sees(q, k)]
        assert all(0 <= q - k < mask.reach for q, k in seen)


@given(masks(), masks())
def test_an_intersection_reaches_as_far_as_the_nearer(
    one: tuple[Mask, Sees], other: tuple[Mask, Sees]
) -> None:
    known = [mask.reach for mask, _ in (one, other) if mask.reach is not None]
    assert (one[0] & other[0]).reach == (min(known) if known else None)


@settings(max_examples=40)
@given(masks(), TOKENS)
def test_what_is_not_seen_has_no_gradient(pair: tuple[Mask, Sees], tokens: int) -> None:
    mask, sees = pair
    module = attention(mask=mask)
    x = torch.randn(1, tokens, DIM, dtype=torch.float64, requires_grad=True)
    y = module(x)
    for q in range(tokens):
        (grad,) = torch.autograd.grad(y[0, q].sum(), x, retain_graph=True)
        assert grad.isfinite().all()
        for k in range(tokens):
            if k != q:  # a token is its own query
                assert bool(grad[0, k].any()) == sees(q, k), (q, k)


@torch.no_grad()
@settings(max_examples=50)
@given(masks(), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_state_obeys_as_well(pair: tuple[Mask, Sees], chunks: list[int]) -> None:
    """Where nothing ahead is seen: a later token can't change an answer that was given."""
    mask, sees = pair
    tokens = sum(chunks)
    if any(sees(q, k) for q in range(tokens) for k in range(q + 1, tokens)):
        return
    module = attention(mask=mask)
    x = torch.randn(1, tokens, DIM, dtype=torch.float64)
    state = State.of(module, 1)
    parts = torch.cat([state.run(module, part) for part in x.split(chunks, 1)], 1)
    torch.testing.assert_close(parts, module(x), rtol=1e-9, atol=1e-9)
