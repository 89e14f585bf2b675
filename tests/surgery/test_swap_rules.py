"""Rules of carrying: what they promise to keep is kept up to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    MLP,
    ChunkAttention,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LearnedPositions,
    LongformerAttention,
    RMSNorm,
    RoPE,
    SigmoidRouter,
    Spec,
    TopKRouter,
    Window,
    replace,
    swap,
)
from tests.surgery.tiny import (
    EXPERT,
    LATENT,
    LENGTH,
    NORMS,
    ONE_KEY,
    ROPE,
    STILL,
    TOKENS,
    difference,
    grouped,
    model,
    moe,
    more,
)

WIDE = {**LATENT, "value_dim": 8}
DEEP: dict[str, Any] = {"kv_rank": 6, "nope_dim": 4, "rope_dim": 4, "q_rank": 5}
ADJACENT = Spec(RoPE, theta=50.0, pairing="adjacent")
# What a model was, and what it becomes.
SAME: dict[str, tuple[Any, str | type, Any]] = {
    "equal heads": (model(), GQAttention, more(kv_heads=2)),
    "grouped heads repeated": (model(grouped(kv_heads=2)), GQAttention, more(kv_heads=4)),
    "biases repeated": (
        model(grouped(kv_heads=1, bias=True)),
        GQAttention,
        more(kv_heads=2),
    ),
    "a norm over all heads": (
        model(Spec(GQAttention, heads=4, kv_heads=2, qk=(NORMS["head"], ROPE), sinks=True)),
        GQAttention,
        more(kv_heads=4),
    ),
    "norms of each head": (
        model(Spec(GQAttention, heads=4, kv_heads=2, qk=(NORMS["each"], ROPE))),
        GQAttention,
        more(kv_heads=4),
    ),
    "heads split in two": (
        model(Spec(GQAttention, heads=4, kv_heads=2, sinks=True, out_bias=True)),
        GQAttention,
        lambda old: replace(old, heads=8, kv_heads=4, head_dim=4),
    ),
    "a wide window": (model(), GQAttention, more(mask=Window(LENGTH))),
    "bias where there was none": (model(), GQAttention, more(bias=True, out_bias=True)),
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
        Spec(LatentAttention, **WIDE, kv_rank=12, nope_dim=4, rope_dim=4, qk=(ROPE,)),
    ),
    "latents of one key, other pairs, latent queries": (
        model(ONE_KEY),
        GQAttention,
        Spec(
            LatentAttention,
            **WIDE,
            kv_rank=13,
            nope_dim=5,
            rope_dim=4,
            q_rank=16,
            qk=(ADJACENT,),
        ),
    ),
    "latents multiplied out": (
        model(Spec(LatentAttention, **WIDE, kv_rank=6, nope_dim=4, rope_dim=4, qk=(ADJACENT,))),
        LatentAttention,
        replace(ONE_KEY, kv_heads=4),
    ),
    "latent queries multiplied out, with biases": (
        model(Spec(LatentAttention, **WIDE, **DEEP, bias=True, qk=(ROPE,))),
        LatentAttention,
        replace(ONE_KEY, kv_heads=4, bias=True, scale=0.3),
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
        more(ties=()),
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


def test_means_are_of_neighbours() -> None:
    old = model(grouped())
    new, _ = swap(old, "layers.1.attention", more(kv_heads=2))
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
