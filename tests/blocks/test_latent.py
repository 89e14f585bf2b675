"""Latent attention: the two orders of the same arithmetic, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import Causal, LatentAttention, Mask, RoPE, Spec, State, Step, Window
from blocks.ops.latent import attend_latent, attend_latent_plain
from blocks.testing.subject import disturb

B, T, D, H, R, N, P, V = 2, 7, 16, 4, 6, 5, 4, 3


def make(**options: Any) -> LatentAttention:
    sizes = {"heads": H, "kv_rank": R, "nope_dim": N, "rope_dim": P, "value_dim": V}
    mla = LatentAttention(D, **(sizes | options)).double().eval()
    disturb(mla)
    return mla


@pytest.mark.parametrize("seen", [None, torch.rand(B, 1, 1, T) > 0.4])
def test_asked_in_latents_is_asked_in_heads(seen: Tensor | None) -> None:
    draw = {"dtype": torch.float64, "requires_grad": True}
    leaves = [
        torch.randn(B, H, 1, N, **draw),
        torch.randn(B, H, 1, P, **draw),
        torch.randn(B, 1, T, R + P, **draw),
        torch.randn(H * (N + V), R, **draw),
    ]
    found = []
    for path in (attend_latent, attend_latent_plain):
        y = path(*leaves, seen=seen, scale=0.4)
        found.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("mask", [Causal(), Window(3)])
@pytest.mark.parametrize("room", [None, T])
def test_memory_gives_what_the_whole_gives(mask: Mask, room: int | None) -> None:
    mla = make(mask=mask, qk=(Spec(RoPE),), q_rank=8)
    x = torch.randn(B, T, D, dtype=torch.float64)
    state = State.of(mla, B, room)
    parts = [state.run(mla, part) for part in x.split([3, 1, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), mla(x))


def test_only_the_latent_and_one_rotary_key_are_kept() -> None:
    mla, tokens = make().float(), 32
    assert State.of(mla, B, tokens).nbytes == B * tokens * (R + P) * 4
    assert State.of(make(mask=Window(9)).float(), B, tokens).nbytes == B * 9 * (R + P) * 4
    state = State.of(mla, B, tokens)
    state.run(mla, torch.randn(B, T, D))
    assert state.nbytes == B * tokens * (R + P) * 4


def test_memory_can_be_chosen_copied_and_cut() -> None:
    mla = make(qk=(Spec(RoPE),))
    x = torch.randn(B, T, D, dtype=torch.float64)
    state = State.of(mla, B)
    state.run(mla, x[:, :5])
    again = state.copy().select(torch.tensor([1]))
    again.trim(2)
    after = again.run(mla, x[1:, 3:])
    torch.testing.assert_close(after, mla(x)[1:, 3:])


def test_padding_is_not_seen() -> None:
    mla = make()
    x = torch.randn(1, T, D, dtype=torch.float64)
    real = torch.tensor([[False, False] + [True] * (T - 2)])
    step = Step((real.cumsum(1) - 1).clamp(min=0), real=real)
    torch.testing.assert_close(mla(x, step)[:, 2:], mla(x[:, 2:]))
