"""The part of the tables that has blocks that remember in a fixed size."""

from __future__ import annotations

from typing import Any

from blocks import (
    GRU,
    LSTM,
    RGLRU,
    AdditiveAttention,
    CausalConv,
    Clip,
    GatedMLP,
    GatedRMSNorm,
    GaussianWindow,
    LayerNorm,
    Linear,
    LMHead,
    MixtureDensityHead,
    RMSNorm,
    RoPE,
    SkipStack,
    Spec,
    TokenEmbedding,
)
from tests.blocks.small import Small, floats, ints, shares

STACKED: dict[str, Any] = {"hidden": 12, "depth": 3, "dropout": (0.5, {"depth": 2})}
BEFORE = Spec(GRU, hidden=12, reset="before")
PEEPS = Spec(LSTM, hidden=12, peepholes=True)
TOLD: dict[str, Any] = {"causal": False}  # what they read is given as a step's memory

SPECTRAL: dict[str, Any] = {"causal": False}  # but for the roundings of a Fourier transform

ADDED: dict[str, Any] = {"inner": Spec(GatedMLP, hidden=12), "on": ("gate",), "rank": 2}
OTHER: dict[str, Any] = {"inner": Spec(GatedMLP, hidden=20), "on": ("gate", "down")}
OTHER |= {"rank": 3, "scale": 0.5}

RECURRENT: dict[str, Small] = {
    "AdditiveAttention": Small((16, 16), {"hidden": 12}, checks=TOLD),
    "Attending": Small((16,), {"inner": BEFORE}, shape=(3, 7, 44), checks=TOLD),
    "FinalStates": Small(
        (50, 16), {"layers": (Spec(LSTM, depth=2),)}, (ints(50, 3, 7),), (3, 1, 64), TOLD
    ),
    "GRU": Small((16,), {"depth": 2}),
    "GaussianWindow": Small((16, 16), {"components": 3}, checks=TOLD),
    "GatedDeltaNet": Small((16,), {"heads": 2, "head_dim": 4, "value_heads": 4, "chunk": 3}),
    "Handed": Small((16,), {"inner": Spec(GRU, hidden=8, depth=2)}, shape=(3, 7, 8), checks=TOLD),
    "LSTM": Small((16,), {"depth": 2}),
    "Handwriting": Small(
        (),
        {"body": Spec(SkipStack, inner=PEEPS, depth=3)},
        (floats(3, 7, 3),),
        (3, 7, 121),
        {"causal": True},
    ),
    "Maxout": Small((16,), {"hidden": 5}, shape=(3, 7, 5)),
    "MixtureDensityHead": Small((16,), {"components": 2}, shape=(3, 7, 13)),
    "OneHot": Small((9, 9), inputs=(ints(9, 3, 7),), shape=(3, 7, 9)),
    "Resized": Small((8, 50), {"inner": LMHead, "width": 16}, shape=(3, 7, 50), zero=("dim",)),
    "RTRBM": Small((16,), {"hidden": 12}, (shares(3, 7, 16),), (3, 7, 12)),
    "SkipStack": Small((16,), {"inner": PEEPS, "depth": 3}, shape=(3, 7, 36)),
    "RNN": Small((16,), {"depth": 2}),
    "RWKV": Small((16,)),
    "RWKVChannelMix": Small((16,)),
    "GatedMixer": Small(
        (16,),
        {
            "steps": {"conv": Spec(CausalConv, kernel=3), "lru": Spec(RGLRU, heads=2)},
            "inner": 12,
        },
    ),
    "Linear": Small((16,), {"out_dim": 12}, shape=(3, 7, 12)),
    "PackedLinear": Small((16,), {"out_dim": 12, "bits": 4}, shape=(3, 7, 12)),
    "Load": Small(
        (16,), {"name": "skip", "inner": Spec(Linear, out_dim=12)}, shape=(3, 7, 12), checks=TOLD
    ),
    "LowRank": Small((16,), ADDED, zero=("vocab",)),
    "LoRA": Small((16,), ADDED, zero=("vocab",)),
    "DoRA": Small((16,), ADDED, checks={"gradients": False}, zero=("vocab",)),
    "Factored": Small(
        (16,), {"inner": Spec(GatedMLP, hidden=12), "rank": {"up": 2}}, zero=("vocab",)
    ),
    "Save": Small((16,), {"name": "skip"}, checks=TOLD),
    "LinearAttention": Small(
        (16,), {"heads": 4, "kv_heads": 2, "qk": (Spec(RoPE, theta=100.0),), "chunk": 3}
    ),
    "RGLRU": Small((16,), {"heads": 4}),
    "S4": Small((16,), {"state_dim": 4}, checks=SPECTRAL),
    "S4D": Small((16,), {"state_dim": 4}, checks=SPECTRAL),
}

# Another value of each of their keywords.
OTHERS: dict[str, dict[str, Any]] = {
    "AdditiveAttention": {"hidden": 8},
    "Attending": {
        "inner": Spec(LSTM, hidden=12),
        "attention": Spec(AdditiveAttention, hidden=5),
        "reads": 8,
    },
    "FinalStates": {
        "layers": (Spec(GRU),),
        "embedding": Spec(TokenEmbedding, scale=2.0),
        "stem": LayerNorm,
    },
    "GRU": STACKED,
    "GaussianWindow": {"components": 4},
    "GatedDeltaNet": {
        "heads": 1,
        "head_dim": 8,
        "value_heads": 2,
        "value_dim": 6,
        "kernel": 3,
        "strength": 2.0,
        "norm": GatedRMSNorm,
        "chunk": 1,
    },
    "Handed": {"inner": Spec(GRU)},
    "LSTM": STACKED,
    "Handwriting": {
        "body": Spec(SkipStack, inner=PEEPS),
        "head": Spec(MixtureDensityHead, components=3),
        "vocab": (9, {"embedding": TokenEmbedding}),
        "embedding": (TokenEmbedding, {"vocab": 9}),
        "ties": (("body.layers.2", "body.layers.1"),),
    },
    "Maxout": {"hidden": 6, "pieces": 3},
    "MixtureDensityHead": {"components": 3},
    "OneHot": {},
    "RNN": STACKED,
    "Resized": {"inner": Spec(LMHead, bias=True), "width": 8},
    "RTRBM": {"hidden": 8},
    "SkipStack": {
        "inner": Spec(LSTM, hidden=12),
        "depth": 1,
        "attention": GaussianWindow,
        "reads": (8, {"attention": GaussianWindow}),
    },
    "RWKV": {"inner": 24},
    "RWKVChannelMix": {"hidden": 20},
    "GatedMixer": {"steps": {"mlp": Spec(GatedMLP, hidden=20)}, "inner": 20},
    "Linear": {"out_dim": 10},
    "PackedLinear": {"out_dim": 10},
    "Load": {"name": "other", "inner": None, "width": (8, {"inner": Linear})},
    "LowRank": OTHER,
    "LoRA": {**OTHER, "dropout": 0.5},
    "DoRA": {**OTHER, "dropout": 0.5},
    "Factored": {"inner": Spec(GatedMLP, hidden=20), "rank": {"gate": 2}},
    "Save": {"name": "other"},
    "LinearAttention": {
        "heads": 2,
        "kv_heads": 4,
        "head_dim": 8,
        "value_dim": 6,
        "feature": Spec(Clip, cap=0.1),
        "qk": (),
        "decay": (0.9, 0.5),
        "norm": RMSNorm,
        "eps": 0.1,
        "chunk": 1,
    },
    "RGLRU": {"heads": 2},
    "S4": {"state_dim": 6, "dt": (0.01, 0.2), "out": None},
    "S4D": {"state_dim": 6, "dt": (0.01, 0.2), "out": None},
}
