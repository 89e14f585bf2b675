"""What must hold between a block and itself, for any sizes: nothing else is needed to say so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import blocks
from blocks import (
    ALiBi,
    Causal,
    Chunk,
    Full,
    GatedMLP,
    GQAttention,
    LayerNorm,
    LowRank,
    MoE,
    Prefix,
    RMSNorm,
    RoPE,
    SoftCap,
    SoftmaxRouter,
    Spec,
    Step,
    SymmetricWindow,
    Tokenizer,
    TopKRouter,
    Window,
)
from tests.properties.mixers import DIM, MIXERS, causal, drawn
from tests.text.trained import gpt2

few = settings(max_examples=20)
TOKENS = st.integers(1, 12)


def made(kind: Any, *sizes: int, **options: Any) -> Any:
    return drawn(Spec(kind, **options)(*(sizes or (DIM,))))


def floats(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(found: Tensor, wanted: Tensor, figure: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted, rtol=figure, atol=figure)


@few
@given(TOKENS, st.sampled_from([(4, 1), (4, 2), (6, 3)]))
def test_shared_keys_are_repeated_ones(tokens: int, heads: tuple[int, int]) -> None:
    """Grouped queries with as many key heads as heads are plain attention, by torch's own."""
    many, few = heads
    grouped = made(GQAttention, 24, heads=many, kv_heads=few, qk=(Spec(RoPE),))
    plain = made(GQAttention, 24, heads=many, qk=(Spec(RoPE),))
    tensors = grouped.state_dict()
    for name in ("k.weight", "v.weight"):
        shared = tensors[name].unflatten(0, (few, -1))
        tensors[name] = shared.repeat_interleave(many // few, 0).flatten(0, 1)
    plain.load_state_dict(tensors)
    x = floats(2, tokens, 24)
    same(grouped(x), plain(x))


@few
@given(TOKENS, st.sampled_from([1, 2, 4]))
def test_with_as_many_key_heads_it_is_torchs(tokens: int, heads: int) -> None:
    ours = made(GQAttention, heads=heads, kv_heads=heads, mask=Full(), bias=True, out_bias=True)
    theirs = torch.nn.MultiheadAttention(DIM, heads, batch_first=True).double()
    t = ours.state_dict()
    fused = {f"in_proj_{w}": torch.cat([t[f"{n}.{w}"] for n in "qkv"]) for w in ("weight", "bias")}
    theirs.load_state_dict(fused | {f"out_proj.{w}": t[f"out.{w}"] for w in ("weight", "bias")})
    x = floats(2, tokens, DIM)
    same(ours(x), theirs(x, x, x, need_weights=False)[0])


@few
@given(TOKENS, st.integers(0, 5))
def test_a_window_that_holds_all_is_none(tokens: int, more: int) -> None:
    size, x = tokens + more, floats(2, tokens, DIM)
    plain = made(GQAttention, heads=2, qk=(Spec(RoPE),))
    wide = made(GQAttention, heads=2, qk=(Spec(RoPE),), mask=Full())
    for mask, whole in (
        (Window(size), plain),
        (Chunk(size), plain),
        (Window(size) & Causal(), plain),
        (Prefix(1), plain),
        (Prefix(size), wide),
        (SymmetricWindow(size), wide),
    ):
        one = made(GQAttention, heads=2, qk=(Spec(RoPE),), mask=mask)
        one.load_state_dict(whole.state_dict())
        same(one(x), whole(x))


@few
@given(TOKENS, st.sampled_from([1e6, 1e9]))
def test_a_cap_out_of_reach_is_none(tokens: int, cap: float) -> None:
    plain = made(GQAttention, heads=2)
    capped = made(GQAttention, heads=2, scores=(Spec(SoftCap, cap=cap),))
    capped.load_state_dict(plain.state_dict())
    x = floats(2, tokens, DIM)
    same(capped(x), plain(x))


@few
@given(st.integers(1, 9), st.sampled_from([SoftmaxRouter, TopKRouter]))
def test_one_expert_is_the_mlp(tokens: int, router: Any) -> None:
    expert = Spec(GatedMLP, hidden=12)
    one = made(MoE, experts=1, top_k=1, expert=expert, router=router)
    x = floats(2, tokens, DIM)
    same(one(x), one.experts[0](x), 1e-6)  # weights are of float32


@few
@given(st.integers(1, 9), st.integers(2, 5))
def test_all_experts_are_the_soft_mixture(tokens: int, experts: int) -> None:
    expert = Spec(GatedMLP, hidden=12)
    router = Spec(SoftmaxRouter, renormalize=False)
    moe = made(MoE, experts=experts, top_k=experts, expert=expert, router=router)
    x = floats(2, tokens, DIM)
    shares = (x @ moe.router.weight.T).softmax(-1)
    wanted = sum(shares[..., e, None] * moe.experts[e](x) for e in range(experts))
    assert isinstance(wanted, Tensor)
    same(moe(x), wanted, 1e-6)


SCALE = st.floats(1e-3, 1e3)


@given(SCALE, st.floats(-10, 10))
def test_norms_forget_the_scale(scale: float, shift: float) -> None:
    x = floats(3, DIM)
    rms, layer = made(RMSNorm, eps=1e-30), made(LayerNorm, eps=1e-30)
    same(rms(scale * x), rms(x))
    same(layer(scale * x + shift), layer(x), 1e-6)  # the shift costs digits


@few
@given(TOKENS, st.integers(1, 10_000))
def test_only_distances_count(tokens: int, shift: int) -> None:
    """Under RoPE and ALiBi, all positions may be later."""
    x, places = floats(2, tokens, DIM), torch.arange(tokens)[None]
    for options in ({"qk": (Spec(RoPE),)}, {"scores": (Spec(ALiBi),)}):
        block = made(GQAttention, heads=2, **options)
        same(block(x, Step(places + shift)), block(x, Step(places)))


@few
@given(st.permutations(range(7)))
def test_without_positions_order_is_nothing(order: list[int]) -> None:
    block, x = made(GQAttention, heads=2, kv_heads=1, mask=Full()), floats(2, 7, DIM)
    same(block(x[:, order]), block(x)[:, order])


@few
@given(st.integers(1, 6), st.integers(1, 4), st.sampled_from([0.5, 1.0, 16.0]))
def test_what_is_added_in_low_rank(tokens: int, rank: int, scale: float) -> None:
    """Nothing while B is zero; and afterwards what W + scale · B A does."""
    plain, x = made(GatedMLP, hidden=12), floats(2, tokens, DIM)
    options: Any = {"on": ("gate", "down"), "rank": rank, "scale": scale}
    added = LowRank(DIM, inner=Spec(GatedMLP, hidden=12), **options).double().requires_grad_(False)
    places = blocks.addresses(added.inner)  # W has kept its own
    for place, tensor in plain.state_dict().items():
        places[place].copy_(tensor)
    same(added(x), plain(x))
    drawn(added)
    for name in ("gate", "up", "down"):
        weight = places[f"{name}.weight"]
        if name in options["on"]:
            weight = weight + scale * places[f"{name}.b.weight"] @ places[f"{name}.a.weight"]
        getattr(plain, name).weight.copy_(weight)
    same(added(x), plain(x))


@pytest.mark.parametrize("kind", MIXERS)
def test_nothing_is_dropped_at_a_rate_of_nothing(kind: str) -> None:
    model, tokens = causal(kind), torch.randint(5, (2, 6))
    same(model.train()(tokens), model.eval()(tokens))


@pytest.mark.parametrize("kind", MIXERS)
def test_state_dicts_go_round(kind: str) -> None:
    one, tokens = causal(kind), torch.randint(5, (2, 6))
    other = drawn(one.spec())
    other.load_state_dict(one.state_dict())
    assert torch.equal(other(tokens), one(tokens))


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_text_of_bytes_comes_back(text: str) -> None:
    tokenizer = Tokenizer(gpt2())
    assert tokenizer.decode(tokenizer.encode(text)) == text
