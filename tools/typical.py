"""Blocks at sizes that models have, for the pages of the gallery.

A block that is not here is shown at the small sizes that the tests build it with.
"""

from __future__ import annotations

from typing import Any

from blocks import (
    GRU,
    LSTM,
    RGLRU,
    CausalConv,
    GatedMLP,
    GQAttention,
    LMHead,
    QKNorm,
    RMSNorm,
    RoPE,
    Spec,
)

D, V, F = 1024, 32_000, 4096  # width, vocabulary, hidden width
ROPE = (Spec(RoPE, theta=5e5),)
ATTENTION = Spec(GQAttention, heads=16, kv_heads=4, qk=ROPE)
MLP = Spec(GatedMLP, hidden=2816)
ROUTED = (D, 8, 2)
HEADS = (64, 16, 4)

Example = tuple[tuple[int, ...], dict[str, Any]]

TYPICAL: dict[str, Example] = {
    "AdaptiveEmbedding": ((V, D), {"cutoffs": (2000, 10_000), "width": D, "div": 4}),
    "AdaptiveHead": ((D, V), {"cutoffs": (2000, 10_000), "width": D, "div": 4}),
    "BatchNorm": ((D,), {}),
    "CausalConv": ((D,), {"kernel": 4}),
    "Chain": ((D,), {"steps": {"attention": ATTENTION, "norm": RMSNorm, "mlp": MLP}}),
    "Checkpointed": ((D,), {"inner": ATTENTION}),
    "ChunkAttention": ((D,), {"heads": 16, "chunk": 64}),
    "CircleAttention": ((D,), {"heads": 16, "chunk": 64, "multiple": 64}),
    "ClampedGLU": ((D,), {"hidden": 2816}),
    "Clip": ((D,), {"cap": 10.0}),
    "ConvModule": ((D,), {"kernel": 31}),
    "ConvPositions": ((D,), {"kernel": 128, "groups": 16}),
    "ConvStem": ((80, D), {}),
    "CrossAttention": ((D,), {"heads": 16}),
    "GQAttention": ((D,), {"heads": 16, "kv_heads": 4, "qk": (Spec(QKNorm, norm=RMSNorm), *ROPE)}),
    "GRU": ((D,), {}),
    "GatedDeltaNet": ((D,), {"heads": 8, "head_dim": 128, "value_heads": 16}),
    "GatedMLP": ((D,), {"hidden": 2816}),
    "GatedMixer": (
        (D,),
        {"steps": {"conv": Spec(CausalConv, kernel=4), "lru": Spec(RGLRU, heads=8)}},
    ),
    "GatedRMSNorm": ((D,), {}),
    "HashedEmbedding": ((V, D), {}),
    "InfiniAttention": ((D,), {"heads": 16, "kv_heads": 4, "segment": 2048, "qk": ROPE}),
    "LMHead": ((D, V), {}),
    "LSHAttention": ((D,), {"heads": 16, "buckets": 64, "chunk": 64, "seed": 0}),
    "LSTM": ((D,), {}),
    "LatentAttention": (
        (D,),
        {
            "heads": 16,
            "kv_rank": 256,
            "nope_dim": 64,
            "rope_dim": 32,
            "value_dim": 64,
            "q_rank": 512,
            "qk": (Spec(RoPE, pairing="adjacent"),),
        },
    ),
    "LayerNorm": ((D,), {}),
    "LearnedPositions": ((D,), {"rows": 2048}),
    "Linear": ((D,), {"out_dim": F}),
    "LinearAttention": ((D,), {"heads": 16, "qk": ROPE}),
    "LongformerAttention": ((D,), {"heads": 16, "radius": 256}),
    "LoRA": ((D,), {"inner": ATTENTION, "on": ("q", "v"), "rank": 16}),
    "LowRank": ((D,), {"inner": MLP, "on": ("gate", "up"), "rank": 64}),
    "MLP": ((D,), {"hidden": F}),
    "Mamba": ((D,), {"inner": 2048, "rank": 64}),
    "Mamba2": ((D,), {"heads": 32}),
    "MaskedHead": ((D, V), {}),
    "Maxout": ((D,), {"hidden": F}),
    "MoE": ((D,), {"experts": 8, "top_k": 2, "expert": MLP}),
    "Normed": ((D,), {"inner": ATTENTION, "norm_in": RMSNorm}),
    "PackedLinear": ((D,), {"out_dim": F, "bits": 4}),
    "Parallel": ((D,), {"branches": {"attention": ATTENTION, "mlp": MLP}}),
    "Pooler": ((D,), {}),
    "QKNorm": (HEADS, {"norm": RMSNorm}),
    "QueryScale": (HEADS, {}),
    "RGLRU": ((D,), {"heads": 8}),
    "RMSNorm": ((D,), {}),
    "RNN": ((D,), {}),
    "RWKV": ((D,), {}),
    "RWKVChannelMix": ((D,), {}),
    "RelativeAttention": ((D,), {"heads": 16}),
    "RelativeBias": ((16,), {}),
    "Residual": ((D,), {"inner": ATTENTION, "norm_in": RMSNorm}),
    "Resized": ((D, V), {"inner": LMHead, "width": 256}),
    "Reversible": (
        (2 * D,),
        {"steps": {"attention": ATTENTION, "mlp": MLP}},
    ),
    "RoPE": (HEADS, {}),
    "S4": ((D,), {}),
    "S4D": ((D,), {}),
    "SigmoidRouter": (ROUTED, {}),
    "SkipStack": ((D,), {"inner": Spec(LSTM, hidden=D), "depth": 3}),
    "Attending": ((D,), {"inner": Spec(GRU, reset="before")}),
    "SoftmaxRouter": (ROUTED, {}),
    "SparseMixerRouter": (ROUTED, {}),
    "TokenEmbedding": ((V, D), {}),
    "TokenShift": ((D,), {}),
    "TopKRouter": (ROUTED, {}),
    "TurnedAttention": ((D,), {"heads": 16}),
    "TypeEmbedding": ((D,), {"types": 2}),
    "XIELU": ((D,), {}),
}
