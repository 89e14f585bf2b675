"""Rules of carrying: what they promise to keep is kept, and what they give up is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    MLP,
    RWKV,
    CausalLM,
    Chain,
    ChunkAttention,
    GatedDeltaNet,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LayerNorm,
    LearnedPositions,
    LinearAttention,
    LongformerAttention,
    LSHAttention,
    Mamba,
    Mamba2,
    MoE,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    SigmoidRouter,
    SoftmaxRouter,
    Spec,
    TopKRouter,
    Window,
    replace,
    swap,
)
from blocks.testing.subject import disturb

DIM, VOCAB, LENGTH = 16, 31, 12
TOKENS = torch.randint(0, VOCAB, (2, LENGTH), generator=torch.Generator().manual_seed(1))
ROPE = Spec(RoPE, theta=50.0)
NORMS = {over: Spec(QKNorm, norm=RMSNorm, over=over, gain=True) for over in ("head", "each", "all")}


def model(attention: Any = None, mlp: Any = None, norm: Any = RMSNorm, **options: Any) -> Any:
    attention = attention or Spec(GQAttention, heads=4, kv_heads=2, qk=(ROPE,))
    parts = {"attention": attention, "mlp": mlp or Spec(GatedMLP, hidden=24)}
    steps = {name: Spec(Residual, inner=part, norm_in=norm) for name, part in parts.items()}
    layers = (Spec(Chain, steps=steps),) * 2
    made = CausalLM(vocab=VOCAB, dim=DIM, layers=layers, norm=norm, **options).double()
    disturb(made)
    return made


def difference(one: Any, other: Any) -> float:
    """Of logits, in their standard deviations."""
    with torch.no_grad():
        a, b = one.eval()(TOKENS), other.eval()(TOKENS)
    return float((a - b).abs().max() / a.std())


def more(old: Any, **options: Any) -> Any:
    return lambda spec: replace(spec, **options)


HEADS: dict[str, Any] = {"heads": 4}
LATENT: dict[str, Any] = {"heads": 4, "value_dim": 4, "norm": None}
STILL = Spec(GQAttention, heads=4, bias=True, out_bias=True)
ONE_KEY = Spec(GQAttention, heads=4, kv_heads=1, qk=(Spec(RoPE, theta=50.0, rotated=0.5),))
EXPERT = Spec(GatedMLP, hidden=24)


def moe(router: Any = SoftmaxRouter, **options: Any) -> Spec[Any]:
    return Spec(MoE, **{"experts": 4, "top_k": 2, "expert": EXPERT, "router": router, **options})


def grouped(**options: Any) -> Spec[Any]:
    return Spec(GQAttention, heads=4, qk=(ROPE,), **options)


# What a model was, what it becomes, and how many parameters are computed, new and dropped.
SAME: dict[str, tuple[Any, str | type, Any]] = {
    "equal heads": (model(), GQAttention, more(0, kv_heads=2)),
    "grouped heads repeated": (model(grouped(kv_heads=2)), GQAttention, more(0, kv_heads=4)),
    "biases repeated": (
        model(grouped(kv_heads=1, bias=True)),
        GQAttention,
        more(0, kv_heads=2),
    ),
    "a norm over all heads": (
        model(Spec(GQAttention, heads=4, kv_heads=2, qk=(NORMS["head"], ROPE), sinks=True)),
        GQAttention,
        more(0, kv_heads=4),
    ),
    "norms of each head": (
        model(Spec(GQAttention, heads=4, kv_heads=2, qk=(NORMS["each"], ROPE))),
        GQAttention,
        more(0, kv_heads=4),
    ),
    "heads split in two": (
        model(Spec(GQAttention, heads=4, kv_heads=2, sinks=True, out_bias=True)),
        GQAttention,
        lambda old: replace(old, heads=8, kv_heads=4, head_dim=4),
    ),
    "a wide window": (model(), GQAttention, more(0, mask=Window(LENGTH))),
    "bias where there was none": (model(), GQAttention, more(0, bias=True, out_bias=True)),
    "latents without positions": (
        model(STILL),
        GQAttention,
        Spec(
            LatentAttention,
            **LATENT,
            kv_rank=32,
            nope_dim=4,
            rope_dim=2,
            q_rank=17,
            bias=True,
            out_bias=True,
        ),
    ),
    "latents of one key": (
        model(ONE_KEY),
        GQAttention,
        Spec(LatentAttention, **LATENT, kv_rank=6, nope_dim=2, rope_dim=2, qk=(ROPE,)),
    ),
    "latents of one key, other pairs, latent queries": (
        model(ONE_KEY),
        GQAttention,
        Spec(
            LatentAttention,
            **LATENT,
            kv_rank=9,
            nope_dim=3,
            rope_dim=2,
            q_rank=16,
            qk=(Spec(RoPE, theta=50.0, pairing="adjacent"),),
        ),
    ),
    "equal experts": (model(), GatedMLP, moe()),
    "equal experts, top k": (model(), GatedMLP, moe(TopKRouter)),
    "equal experts, sigmoid and scale": (
        model(),
        GatedMLP,
        moe(Spec(SigmoidRouter, scale=2.5), shared=EXPERT, scale=0.5),
    ),
    "an expert for all tokens, gated": (model(), GatedMLP, moe(shared=EXPERT, shared_gate=True)),
    "plain experts": (
        model(mlp=Spec(MLP, hidden=20)),
        MLP,
        moe(expert=Spec(MLP, hidden=30), shared=Spec(MLP, hidden=20)),
    ),
    "more neurons": (model(), GatedMLP, Spec(GatedMLP, hidden=40)),
    "more plain neurons": (model(mlp=Spec(MLP, hidden=20)), MLP, Spec(MLP, hidden=50)),
    "a gate that is the MLP": (
        model(mlp=Spec(MLP, hidden=20, bias=False, act="silu")),
        MLP,
        Spec(GatedMLP, hidden=20, bias=True),
    ),
    "another offset": (model(), RMSNorm, Spec(RMSNorm, offset=1.0)),
    "a norm with a weight": (model(norm=Spec(RMSNorm, weight=False)), RMSNorm, RMSNorm),
    "a head of its own": (
        model(ties=(("head.weight", "embedding.weight"),)),
        "",
        more(0, ties=()),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_what_changes_nothing_up_to_rounding(case: str) -> None:
    old, where, new = SAME[case]
    other, report = swap(old, where, new, probe=TOKENS)
    assert report.change is not None and report.change.agreement == 1.0
    assert difference(old, other) < 1e-9
    assert not report.dropped, str(report)
    drawn = [fate.address for fate in report.new if not fate.words]
    assert all(".router." in address for address in drawn), str(report)
    assert other.spec == blocks.rewrite(old.spec, where, new)


# What can't be kept: which words tell of it, and what of the old model is in nothing.
LOST: dict[str, tuple[Any, str | type, Any, str, set[str]]] = {
    "fewer key heads": (model(), GQAttention, more(0, kv_heads=1), "mean of 2 heads", set()),
    "heads of other groups": (
        model(Spec(GQAttention, heads=6, kv_heads=3, head_dim=4)),
        GQAttention,
        more(0, kv_heads=2),
        "3 heads as means of 2",
        set(),
    ),
    "fewer heads": (
        model(),
        GQAttention,
        lambda old: replace(old, heads=2, head_dim=4),
        "the sum of what reads each",
        set(),
    ),
    "norms of fewer heads": (
        model(Spec(GQAttention, heads=4, qk=(NORMS["all"],))),
        GQAttention,
        more(0, kv_heads=2),
        "mean of 2 heads",
        set(),
    ),
    "latents with a norm": (
        model(),
        GQAttention,
        Spec(LatentAttention, **{**LATENT, "norm": RMSNorm}, kv_rank=4, nope_dim=2, rope_dim=2),
        "rank 4 holds",
        set(),
    ),
    "a mean that stays": (model(norm=LayerNorm), LayerNorm, RMSNorm, "the mean stays in", {"bias"}),
    "a mean that goes": (model(), RMSNorm, LayerNorm, "the mean is taken off", set()),
    "fewer neurons": (
        model(),
        GatedMLP,
        Spec(GatedMLP, hidden=8),
        "the 8 strongest of 24 neurons",
        set(),
    ),
    "small experts": (
        model(),
        GatedMLP,
        moe(expert=Spec(GatedMLP, hidden=8)),
        "8 of 24 neurons, times 3",
        set(),
    ),
    "no gate": (model(), GatedMLP, Spec(MLP, hidden=24), "", {"up.weight"}),
    "the mean expert": (model(mlp=moe()), MoE, EXPERT, "mean of 4 experts", {"router.weight"}),
    "linear attention": (
        model(),
        GQAttention,
        Spec(LinearAttention, heads=4),
        "each of 2 heads 2 times",
        set(),
    ),
    "delta rule": (
        model(),
        GQAttention,
        Spec(GatedDeltaNet, heads=4),
        "each of 2 heads 2 times",
        set(),
    ),
    "state space": (
        model(),
        GQAttention,
        Spec(Mamba2, heads=4, head_dim=4, state_dim=4, groups=2),
        "x the values, each of 2 heads 2 times; b the keys; c the queries, mean of 2 heads",
        set(),
    ),
    "selective state space": (
        model(),
        GQAttention,
        Mamba,
        "values in 16 of 32 channels",
        {"q.weight", "k.weight"},
    ),
    "weighed values": (model(), GQAttention, RWKV, "the queries", set()),
    "one matrix for query and key": (
        model(),
        GQAttention,
        Spec(LSHAttention, heads=4, buckets=4, chunk=4, seed=0),
        "",
        {"k.weight"},
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_what_is_given_up_is_said(case: str) -> None:
    old, where, new, words, lost = LOST[case]
    other, report = swap(old, where, new, probe=TOKENS)
    assert words in str(report)
    dropped = {fate.address for fate in report.dropped}
    assert {one for one in lost if any(place.endswith(one) for place in dropped)} == lost
    assert bool(dropped) == bool(lost), str(report)
    assert report.change is not None and 0 < report.change.mean < 3
    _train(other)


def _train(other: Any) -> None:
    loss = blocks.next_token_loss(other, TOKENS)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in other.parameters())


def test_means_are_of_neighbours() -> None:
    old = model(grouped())
    new, _ = swap(old, "layers.1.attention", more(0, kv_heads=2))
    held = blocks.addresses(old)["layers.1.attention.k.weight"].unflatten(0, (4, 4))
    found = blocks.addresses(new)["layers.1.attention.k.weight"].unflatten(0, (2, 4))
    for i in range(2):
        torch.testing.assert_close(found[i], (held[2 * i] + held[2 * i + 1]) / 2)


def test_a_factorisation_is_the_best_of_its_rank() -> None:
    old = model(STILL)
    spec = Spec(LatentAttention, **LATENT, kv_rank=5, nope_dim=4, rope_dim=2, bias=True)
    new, report = swap(old, "layers.0.attention", spec)
    was, now = blocks.find(old, "layers.0.attention"), blocks.find(new, "layers.0.attention")
    both = torch.cat([_heads(was.k), _heads(was.v)], 1).flatten(0, 1)  # H·(N+V) D+1
    got = now.kv_up.weight @ torch.cat([now.kv_down.weight, now.kv_down.bias[:, None]], 1)[:5]  # type: ignore[union-attr, index]  # it has a bias
    sizes = torch.linalg.svdvals(both)
    missing = (both - got).detach().square().sum()
    torch.testing.assert_close(missing, sizes[5:].square().sum())
    share = 1 - float(missing / sizes.square().sum())
    assert f"rank 5 holds {share:.1%} of keys and values" in str(report)


def _heads(matrix: Any) -> Tensor:
    return torch.cat([matrix.weight, matrix.bias[:, None]], 1).unflatten(0, (4, -1)).detach()


def test_absolute_positions_become_turned_keys() -> None:
    old = model(Spec(GQAttention, heads=4), stem=Spec(LearnedPositions, rows=64))

    def turned(spec: Any) -> Any:
        spec = replace(spec, stem=None)
        return blocks.rewrite(spec, GQAttention, lambda one: replace(one, qk=(ROPE,)))

    new, report = swap(old, "", turned)
    assert [fate.address for fate in report.dropped] == ["stem.weight"]
    assert not report.new and not report.converted
    assert new.spec == turned(old.spec) and difference(old, new) > 0.01


def test_local_attention_starts_global_projections() -> None:
    new, _ = swap(model(STILL), GQAttention, Spec(LongformerAttention, heads=4, radius=3))
    held = blocks.addresses(new)
    for part in ("q", "k", "v"):
        place = f"layers.0.attention.{part}"
        assert torch.equal(held[f"{place}.weight"], held[f"{place}_global.weight"])


def test_chunks_that_hold_all_are_attention() -> None:
    old = model(Spec(GQAttention, heads=4, bias=True))
    new, report = swap(old, GQAttention, Spec(ChunkAttention, heads=4, chunk=LENGTH, bias=True))
    assert not report.converted and not report.new and difference(old, new) < 1e-9
