"""The part of the tables that has blocks that remember in a fixed size."""

from __future__ import annotations

from typing import Any

from blocks import GRU, LSTM, AdditiveAttention, GatedRMSNorm, LayerNorm, Spec, TokenEmbedding
from tests.blocks.small import Small, ints

STACKED: dict[str, Any] = {"hidden": 12, "depth": 3, "dropout": (0.5, {"depth": 2})}
BEFORE = Spec(GRU, hidden=12, reset="before")
TOLD: dict[str, Any] = {"causal": False}  # what they read is given as a step's memory

RECURRENT: dict[str, Small] = {
    "AdditiveAttention": Small((16, 16), {"hidden": 12}, checks=TOLD),
    "Attending": Small((16,), {"inner": BEFORE}, shape=(3, 7, 44), checks=TOLD),
    "FinalStates": Small(
        (50, 16), {"layers": (Spec(LSTM, depth=2),)}, (ints(50, 3, 7),), (3, 1, 64), TOLD
    ),
    "GRU": Small((16,), {"depth": 2}),
    "GatedDeltaNet": Small((16,), {"heads": 2, "head_dim": 4, "value_heads": 4, "chunk": 3}),
    "Handed": Small((16,), {"inner": Spec(GRU, hidden=8, depth=2)}, shape=(3, 7, 8), checks=TOLD),
    "LSTM": Small((16,), {"depth": 2}),
    "Maxout": Small((16,), {"hidden": 5}, shape=(3, 7, 5)),
    "RNN": Small((16,), {"depth": 2}),
    "RWKV": Small((16,)),
    "RWKVChannelMix": Small((16,)),
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
    "Maxout": {"hidden": 6, "pieces": 3},
    "RNN": STACKED,
    "RWKV": {"inner": 24},
    "RWKVChannelMix": {"hidden": 20},
}
