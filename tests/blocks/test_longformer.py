"""Longformer attention is full attention under its mask, and needs far less memory."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    BeforeToken,
    FirstToken,
    GenerationError,
    LongformerAttention,
    SpecError,
    Step,
)
from blocks.testing.subject import disturb
from tests.blocks.watch import largest

B, T, D, H = 3, 23, 16, 4


def make(radius: int = 3, **options: Any) -> LongformerAttention:
    attention = LongformerAttention(D, heads=H, radius=radius, bias=True, out_bias=True, **options)
    disturb(attention)
    return attention.double().eval()


def draw(tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, D, dtype=torch.float64)


def dense(it: LongformerAttention, x: Tensor, step: Step) -> Tensor:
    """Attention of all with all, twice, with the window and the global tokens as masks."""
    real = torch.ones(x.shape[:2], dtype=torch.bool) if step.real is None else step.real
    marks = torch.zeros_like(real) if step.global_mask is None else step.global_mask & real
    place = step.positions.expand(len(x), -1)
    near = (place[:, :, None] - place[:, None]).abs() <= it.radius

    def attend(q: Any, k: Any, v: Any, seen: Tensor) -> Tensor:
        heads = [part(x).unflatten(-1, (H, -1)).transpose(1, 2) for part in (q, k, v)]
        scores = heads[0] @ heads[1].transpose(-1, -2) / math.sqrt(it.head_dim)
        weights = scores.masked_fill(~seen[:, None], -math.inf).softmax(-1)
        return (weights @ heads[2]).transpose(1, 2).flatten(2)

    every = real[:, None].expand_as(near)
    local = attend(it.q, it.k, it.v, (near | marks[:, None]) & every)
    wide = attend(it.q_global, it.k_global, it.v_global, every)
    return it.out(torch.where(marks[..., None], wide, local))


def masks(tokens: int) -> dict[str, Tensor | None]:
    place = torch.arange(tokens).expand(B, -1)
    lost = torch.tensor([0, 5, tokens - 2])[:, None]
    return {
        "all real": None,
        "right": place < tokens - lost,
        "left": place >= lost,
        "between": (place + torch.arange(B)[:, None]) % 3 != 0,
    }


def globals_of(tokens: int) -> dict[str, Tensor | None]:
    place = torch.arange(tokens).expand(B, -1)
    some = torch.rand(B, tokens, generator=torch.Generator().manual_seed(2)) < 0.25
    return {
        "none": None,
        "no token": place < 0,
        "first": place == 0,
        "some": some,
        "in one row": some & (torch.arange(B) == 1)[:, None],
        "every": place >= 0,
    }


@pytest.mark.parametrize("padding", list(masks(T)))
@pytest.mark.parametrize("which", list(globals_of(T)))
@pytest.mark.parametrize(("tokens", "radius"), [(23, 3), (24, 4), (23, 1), (8, 8), (9, 8), (5, 30)])
def test_it_is_attention_with_a_mask(padding: str, which: str, tokens: int, radius: int) -> None:
    it, x = make(radius), draw(tokens)
    real = masks(tokens)[padding]
    if real is not None:
        real = real | (torch.arange(tokens) == 2)
    positions = torch.arange(tokens)[None] if real is None else (real.cumsum(1) - 1).clamp(min=0)
    facts: dict[str, Any] = {"real": real, "global_mask": globals_of(tokens)[which]}
    y, wanted = it(x, Step(positions, **facts)), dense(it, x, Step(positions, **facts))
    kept = torch.ones(B, tokens, dtype=torch.bool) if real is None else real
    torch.testing.assert_close(y[kept], wanted[kept])
    assert bool(y.isfinite().all())


def test_gradients_are_those_of_full_attention() -> None:
    it, x = make(), draw().requires_grad_()
    marks = globals_of(T)["some"]
    found = [
        torch.autograd.grad(y.square().sum(), [x, *it.parameters()])
        for y in (
            run(it, x, Step(torch.arange(T)[None], global_mask=marks))
            for run in (type(it).__call__, dense)
        )
    ]
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_a_token_beyond_the_window_is_not_seen() -> None:
    it, x = make(radius=4), draw(40).requires_grad_()
    (grad,) = torch.autograd.grad(it(x)[:, 20].sum(), x)
    seen = grad.abs().sum((0, 2)) > 0
    assert seen.nonzero().flatten().tolist() == list(range(16, 25))


def test_memory_grows_with_the_length() -> None:
    it = make(radius=8)

    def size(tokens: int) -> int:
        place = torch.arange(tokens)[None]
        x = torch.randn(1, tokens, D, dtype=torch.float64)
        return largest(lambda: it(x, Step(place, global_mask=place < 2)))

    sizes = [size(tokens) for tokens in (256, 512, 1024, 2048)]
    assert all(b <= 2.1 * a for a, b in pairwise(sizes))
    assert sizes[-1] < 2048 * 2048 / 16


def test_marks_find_what_sees_all() -> None:
    tokens = torch.tensor([[9, 9, 5, 7, 2, 2, 8], [4, 2, 6, 2, 7, 9, 9]])
    real = torch.tensor([[False, False, True, True, True, True, True], [True] * 5 + [False] * 2])
    assert FirstToken()(tokens, real).long().tolist() == [
        [0, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
    assert BeforeToken(2)(tokens, real).long().tolist() == [
        [0, 0, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
    for bad in (4, 9):  # not in every text, or in its padding alone
        with pytest.raises(GenerationError, match="question"):
            BeforeToken(bad)(tokens, real)
    with pytest.raises(SpecError):
        BeforeToken(-1)


@pytest.mark.parametrize("fact", ["segments", "seen"])
def test_packed_documents_are_refused(fact: str) -> None:
    shape = (B, T) if fact == "segments" else (B, T, T)
    facts: dict[str, Any] = {fact: torch.zeros(shape, dtype=torch.int64)}
    with pytest.raises(SpecError, match="segments"):
        make()(draw(), Step(torch.arange(T)[None], **facts))
