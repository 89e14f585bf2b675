"""Rules of carrying: what they give up is said, and what is left learns."""

from __future__ import annotations

from typing import Any

import pytest

import blocks
from blocks import (
    MLP,
    RWKV,
    GatedDeltaNet,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LayerNorm,
    LinearAttention,
    LSHAttention,
    Mamba,
    Mamba2,
    MoE,
    RMSNorm,
    Spec,
    replace,
    swap,
)
from tests.surgery.tiny import (
    EXPERT,
    LATENT,
    NORMS,
    TOKENS,
    grouped,
    model,
    moe,
    more,
)

# What can't be kept: which words tell of it, and what of the old model is in nothing.
LOST: dict[str, tuple[Any, str | type, Any, str, set[str]]] = {
    "fewer key heads": (model(), GQAttention, more(kv_heads=1), "mean of 2 heads", set()),
    "heads of other groups": (
        model(Spec(GQAttention, heads=6, kv_heads=3, head_dim=4)),
        GQAttention,
        more(kv_heads=2),
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
        more(kv_heads=2),
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
    "a state space that was attention": (
        model(Spec(Mamba2, heads=4, head_dim=4, state_dim=4, groups=2)),
        Mamba2,
        grouped(),
        "b, each of 2 heads 2 times",
        {"conv.weight", "A_log", "norm.weight"},
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
