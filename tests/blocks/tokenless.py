"""The part of the tables that has models of bytes."""

from __future__ import annotations

from typing import Any

from blocks import (
    CausalLM,
    Chain,
    CrossAttention,
    EqualPatches,
    GatedMLP,
    GQAttention,
    JoinedEmbedding,
    LayerNorm,
    LayerStack,
    LMHead,
    NGramEmbedding,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
)
from tests.blocks.small import Small, ints

LAYER = Spec(
    Chain,
    steps={
        "attention": Spec(
            Residual, inner=Spec(GQAttention, heads=2, qk=(Spec(RoPE),)), norm_in=RMSNorm
        ),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=20), norm_in=RMSNorm),
    },
)
READER = Spec(Residual, inner=Spec(CrossAttention, heads=2, norm=LayerNorm), norm_in=RMSNorm)
MIXER = LAYER.keywords["steps"]["attention"]
WRITER = Spec(Chain, steps={"cross": READER})
JOINED = Spec(JoinedEmbedding, count=3, width=8)
SMALL = Spec(CausalLM, vocab=50, dim=8, layers=(LAYER,), norm=None)
TEXT = (ints(50, 3, 7),)

STAGES: dict[str, Any] = {
    "vocab": 50,
    "dims": (16, 12),
    "stages": (
        Spec(LayerStack, layers=(LAYER,), embedding=JOINED),
        Spec(LayerStack, layers=(LAYER,), norm=RMSNorm),
    ),
}
LATENT: dict[str, Any] = {
    "vocab": 50,
    "dim": 16,
    "width": 12,
    "encoder": Spec(
        LayerStack, layers=(MIXER,), embedding=Spec(NGramEmbedding, sizes=(2, 3), buckets=11)
    ),
    "layers": (MIXER,),
    "decoder": Spec(LayerStack, layers=(WRITER,), norm=RMSNorm, embedding=None),
    "patches": Spec(EqualPatches, size=3),
    "reader": READER,
}

TOKENLESS: dict[str, Small] = {
    "ByteLatentLM": Small((), LATENT, TEXT, (3, 7, 50)),
    "EntropyPatches": Small((), {"model": SMALL, "threshold": 3.87}, TEXT, (3, 7)),
    "EqualPatches": Small((), {"size": 3}, TEXT, (3, 7)),
    "JoinedEmbedding": Small((50, 16), {"count": 4}, (ints(50, 3, 7, 4),), (3, 7, 16)),
    "MegaByte": Small((), STAGES, TEXT, (3, 7, 50)),
    "NGramEmbedding": Small((50, 16), {"sizes": (2, 3), "buckets": 11}, TEXT, (3, 7, 16)),
    "TokenShift": Small((16,)),
}

# Another value of each of their keywords.
OTHER_TOKENLESS: dict[str, dict[str, Any]] = {
    "ByteLatentLM": {
        "vocab": 51,
        "dim": 24,
        "width": 8,
        "encoder": Spec(LayerStack, layers=(LAYER, LAYER)),
        "layers": (LAYER,),
        "decoder": Spec(LayerStack, layers=(WRITER, WRITER), embedding=None),
        "patches": Spec(EqualPatches, size=2),
        "reader": Spec(CrossAttention, heads=2),
        "places": 3,
        "head": Spec(LMHead, scale=0.5),
        "ties": (("head.weight", "encoder.embedding.weight"),),
        "context": 8,
    },
    "EntropyPatches": {
        "model": Spec(CausalLM, vocab=50, dim=8, layers=(LAYER, LAYER), norm=None),
        "threshold": 9.0,
        "size": (1, {"threshold": 9.0}),
    },
    "EqualPatches": {"size": 2},
    "JoinedEmbedding": {"count": 2, "width": 5, "norm_in": LayerNorm, "norm_out": LayerNorm},
    "MegaByte": {
        "vocab": 51,
        "dims": (16, 16),
        "stages": (STAGES["stages"][0], Spec(LayerStack, layers=(LAYER,))),
        "head": Spec(LMHead, scale=0.5),
        "ties": (("head.weight", "stages.1.embedding.weight"),),
        "context": 8,
    },
    "NGramEmbedding": {"sizes": (2, 4), "hashes": 2, "buckets": 13},
}
