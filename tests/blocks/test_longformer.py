"""Longformer attention is full attention under its mask, and needs far less memory."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import LongformerAttention, SpecError, Step
from blocks.testing.subject import disturb

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


def largest(it: LongformerAttention, tokens: int) -> int:
    """Elements of the largest tensor that one call makes."""
    found = [0]

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                found[0] = max(found[0], out.numel())
            return out

    marks = torch.arange(tokens)[None] < 2
    with torch.no_grad(), Watch():
        x = torch.randn(1, tokens, D, dtype=torch.float64)
        it(x, Step(torch.arange(tokens)[None], global_mask=marks))
    return found[0]


def test_memory_grows_with_the_length() -> None:
    it = make(radius=8)
    sizes = [largest(it, tokens) for tokens in (256, 512, 1024, 2048)]
    assert all(b <= 2.1 * a for a, b in pairwise(sizes))
    assert sizes[-1] < 2048 * 2048 / 16


@pytest.mark.parametrize("fact", ["segments", "seen"])
def test_packed_documents_are_refused(fact: str) -> None:
    shape = (B, T) if fact == "segments" else (B, T, T)
    facts: dict[str, Any] = {fact: torch.zeros(shape, dtype=torch.int64)}
    with pytest.raises(SpecError, match="segments"):
        make()(draw(), Step(torch.arange(T)[None], **facts))
