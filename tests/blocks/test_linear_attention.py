"""Linear attention against the sum over all pairs of tokens, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks import GenerationError, LinearAttention, RMSNorm, RoPE, Spec, SpecError, State
from blocks.step import Step

HEADS, KV_HEADS = 4, 2
ROPE = (Spec(RoPE, theta=100.0),)


class Squares(nn.Module):
    """All products of two channels: features whose scores are squares."""

    def __init__(self, head_dim: int):
        super().__init__()
        self.width = head_dim**2

    def forward(self, x: Tensor) -> Tensor:
        return (x[..., None] * x[..., None, :]).flatten(-2)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rope": {"qk": ROPE},
    "retention": {"qk": ROPE, "eps": None, "decay": (0.9, 0.5), "norm": RMSNorm},
    "fading": {"decay": (0.8, 1.0), "value_dim": 3},
    "squares": {"feature": Squares, "head_dim": 3},
}
every = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, **options: Any) -> LinearAttention:
    torch.manual_seed(3)
    sizes = {"heads": HEADS, "kv_heads": KV_HEADS, "bias": True}
    return LinearAttention(16, **{**sizes, **KINDS[kind], **options}).double()


def by_hand(layer: LinearAttention, x: Tensor) -> Tensor:
    """Every pair of tokens, as softmax attention has them, with features in the place of e^x."""
    length, share = x.shape[1], HEADS // KV_HEADS
    q, k, v = (
        part(x).unflatten(-1, (n, -1)).transpose(1, 2)
        for part, n in ((layer.q, HEADS), (layer.k, KV_HEADS), (layer.v, KV_HEADS))
    )
    feature = layer.feature or (lambda part: F.elu(part) + 1)
    q, k = feature(q), feature(k)
    turned = layer.qk[0](q, k, Step.plain(x)) if len(layer.qk) else (q, k)
    back = torch.arange(length)[:, None] - torch.arange(length)
    left = torch.tensor(layer.decay, dtype=x.dtype)[:, None, None] ** back.clamp(min=0)
    left = torch.where(back >= 0, left, 0).repeat_interleave(share, 0)  # H T T
    over, below = (
        (a @ b.repeat_interleave(share, 1).transpose(-1, -2)) * left for a, b in (turned, (q, k))
    )
    y = over @ v.repeat_interleave(share, 1)  # B H T V
    y = y if layer.eps is None else y / (below.sum(-1, keepdim=True) + layer.eps)
    y = y if layer.norm is None else layer.norm(y)
    return layer.out(y.transpose(1, 2).flatten(2))


@every
@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_all_pairs_and_their_gradients(kind: str, chunk: int) -> None:
    layer = made(kind, chunk=chunk)
    x = torch.randn(2, 11, 16, dtype=torch.float64, requires_grad=True)
    found, wanted = layer(x), by_hand(layer, x)
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)
    weight, all_of_them = torch.randn_like(wanted), [x, *layer.parameters()]
    ours, theirs = (torch.autograd.grad((y * weight).sum(), all_of_them) for y in (found, wanted))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@every
@pytest.mark.parametrize("chunks", [(11,), (1,) * 11, (4, 1, 6)])
def test_from_memory(kind: str, chunks: tuple[int, ...]) -> None:
    layer, x = made(kind), torch.randn(2, 11, 16, dtype=torch.float64)
    state = State.of(layer, 2)
    with torch.no_grad():
        parts = [state.run(layer, part) for part in x.split(list(chunks), 1)]
        torch.testing.assert_close(torch.cat(parts, 1), by_hand(layer, x), atol=1e-11, rtol=1e-11)


@every
def test_padding_neither_writes_nor_fades(kind: str) -> None:
    layer, x = made(kind), torch.randn(3, 9, 16, dtype=torch.float64)
    lengths, state = torch.tensor([9, 4, 0]), State.of(layer, 3)
    with torch.no_grad():
        state.run(layer, x)
        state.run(layer, x, torch.arange(9) < lengths[:, None])
        for row, length in enumerate(lengths.tolist()):
            alone = State.of(layer, 1)
            for part in (x[row : row + 1], x[row : row + 1, :length]):
                if part.shape[1]:
                    alone.run(layer, part)
            found = state.content.memory[row : row + 1]
            torch.testing.assert_close(found, alone.content.memory, atol=1e-11, rtol=1e-11)


def test_weights_sum_to_one() -> None:
    layer = LinearAttention(8, heads=2).double()
    with torch.no_grad():
        layer.v.weight.zero_()
        layer.v.bias = nn.Parameter(torch.ones(8, dtype=torch.float64))
        layer.out.weight.copy_(torch.eye(8))
        y = layer(torch.randn(1, 5, 8, dtype=torch.float64))
    torch.testing.assert_close(y, torch.ones_like(y), atol=1e-5, rtol=0)


def test_the_memory_is_summed_in_float32_and_shared_by_query_heads() -> None:
    layer, x = made("plain").bfloat16(), torch.randn(2, 3, 16).bfloat16()
    state = State.of(layer, 2)
    assert state.run(layer, x).dtype == torch.bfloat16
    assert state.content.memory.dtype == torch.float32
    assert state.content.memory.shape == (2, KV_HEADS, 4, 5)


def test_what_cannot_be() -> None:
    for decay in ((0.5,), (0.5, 0.0), (0.5, 1.5)):
        with pytest.raises(SpecError) as caught:
            LinearAttention(8, heads=2, decay=decay)
        assert caught.value.field == "LinearAttention.decay"
    layer, x = LinearAttention(8, heads=2), torch.randn(2, 3, 8)
    with pytest.raises(GenerationError):
        layer(x, Step.plain(x), State.of(layer, 3).content)
    with pytest.raises(GenerationError):
        layer.double()(x.double(), Step.plain(x), State.of(layer, 2, dtype=torch.float32).content)
