"""A small example of every public block: sizes, options and inputs. One entry a block."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import blocks
from blocks import (
    ALiBi,
    Chain,
    CrossAttention,
    Full,
    GatedMLP,
    GQAttention,
    HashedEmbedding,
    LayerNorm,
    LayerStack,
    Molecules,
    PatchEmbedding,
    Residual,
    RMSNorm,
    RoPE,
    ShiftRight,
    SoftCap,
    Spec,
    TypeEmbedding,
    Window,
)
from tests.blocks.recurrent import RECURRENT
from tests.blocks.small import Small, far, floats, ints, places
from tests.blocks.tokenless import TOKENLESS

HEADS = (floats(3, 4, 7, 8), floats(3, 2, 7, 8))  # q and k
ROUTED: dict[str, Any] = {
    "inputs": (floats(12, 16),),
    "shape": ((12, 2), (12, 2)),
    "checks": {"wide": True},
}
MLP = Spec(GatedMLP, hidden=24)
ATTENTION = Spec(
    GQAttention,
    heads=4,
    kv_heads=2,
    qk=(Spec(RoPE, theta=100.0),),
    scores=(Spec(SoftCap, cap=3.0), Spec(ALiBi)),
)
LATENT: dict[str, Any] = {
    "heads": 4,
    "kv_rank": 6,
    "nope_dim": 5,
    "rope_dim": 4,
    "value_dim": 3,
    "q_rank": 8,
    "qk": (Spec(RoPE, theta=100.0, pairing="adjacent"),),
}
LAYER = Spec(
    Chain,
    steps={
        "attention": Spec(Residual, inner=ATTENTION, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=MLP, norm_in=RMSNorm),
    },
)

ADAPTIVE: dict[str, Any] = {"cutoffs": (9, 20), "width": 12, "div": 2}

READING = Spec(
    Chain,
    steps={
        "attention": Spec(Residual, inner=Spec(GQAttention, heads=4, mask=Full())),
        "mlp": Spec(Residual, inner=MLP, norm_in=RMSNorm),
    },
)
WRITING = Spec(
    Chain,
    steps={
        "attention": Spec(Residual, inner=ATTENTION, norm_in=RMSNorm),
        "cross": Spec(Residual, inner=Spec(CrossAttention, heads=4), norm_in=RMSNorm),
    },
)
ENCODER: dict[str, Any] = {"vocab": 50, "dim": 16, "layers": (READING, READING), "norm": RMSNorm}

CHARACTERS = ENCODER | {
    "embedding": Spec(HashedEmbedding, buckets=11),
    "molecules": Spec(Molecules, stride=2, kernel=3),
}

PAIR: dict[str, Any] = {
    "vocab": 50,
    "dim": 16,
    "encoder": Spec(LayerStack, layers=(READING,), norm=RMSNorm),
    "decoder": Spec(LayerStack, layers=(WRITING,), norm=RMSNorm),
}


def ended() -> torch.Tensor:
    """Texts that end with token 2, and something behind it."""
    return torch.randint(3, 50, (3, 7)).index_fill(1, torch.tensor([4]), 2)


TABLE: dict[str, Small] = (
    {
        "CharacterEncoder": Small((), CHARACTERS, (ints(50, 3, 7),), (3, 7, 16)),
        "CrossAttention": Small((16,), {"heads": 4, "kv_heads": 2}, checks={"causal": False}),
        "Dropout": Small((16,), {"dropout": 0.5}, zero=("dim",)),
        "Encoder": Small(
            (), ENCODER | {"stem": Spec(TypeEmbedding, types=2)}, (ints(50, 3, 7),), (3, 7, 16)
        ),
        "EncoderDecoder": Small(
            (), PAIR, (ints(50, 3, 7), ints(50, 3, 5)), (3, 5, 50), {"causal": False}
        ),
        "SourceReader": Small(
            (), PAIR | {"shift": ShiftRight(2)}, (ended,), (3, 7, 16), {"causal": False}, ("end",)
        ),
        "LayerStack": Small((50, 16), {"layers": (LAYER,)}, (ints(50, 3, 7),), (3, 7, 16)),
        "MaskedHead": Small((16, 50), {"norm": RMSNorm}, shape=(3, 7, 50)),
        "MaskedLM": Small((), ENCODER, (ints(50, 3, 7),), (3, 7, 50)),
        "Pooler": Small((16,), shape=(3, 16)),
        "PretrainingHead": Small((16, 50), shape=((3, 7, 50), (3, 2))),
        "RelativeBias": Small(
            (6,), {"buckets": 8, "distance": 20}, (places(3, 9), places(3, 9)), (3, 6, 9, 9)
        ),
        "SentenceHead": Small((16,), shape=(3, 16), zero=("dim",)),
        "SequenceHead": Small((16,), {"labels": 3, "norm": RMSNorm}, shape=(3, 3)),
        "SpanSearchHead": Small(
            (16,),
            {"begins": 2, "ends": 3},
            shape=((3, 2), (3, 2), (3, 2, 3), (3, 2, 3), (3,)),
        ),
        "SpanHead": Small((16,), {"act": "gelu"}, shape=(3, 7, 2)),
        "TokenHead": Small((16,), {"labels": 3, "act": "gelu"}, shape=(3, 7, 3)),
        "TypeEmbedding": Small((16,), {"types": 2}),
        "ALiBi": Small((6,), inputs=(places(3, 5), places(3, 7)), shape=(3, 6, 5, 7)),
        "AdaptiveEmbedding": Small((50, 16), ADAPTIVE, (ints(50, 3, 7),), (3, 7, 16)),
        "AdaptiveHead": Small((16, 50), ADAPTIVE, shape=(3, 7, 50)),
        "AxialPositions": Small((16,), {"shape": (3, 4), "widths": (2, 6)}),
        "CausalLM": Small(
            (),
            {"vocab": 50, "dim": 16, "layers": (LAYER, LAYER), "norm": RMSNorm},
            (ints(50, 3, 7),),
            (3, 7, 50),
        ),
        "CausalConv": Small((16,), {"kernel": 3}),
        "Chain": Small((16,), {"steps": {"attention": ATTENTION, "norm": LayerNorm, "mlp": MLP}}),
        "Checkpointed": Small((16,), {"inner": ATTENTION}),
        "ChunkAttention": Small((16,), {"heads": 4, "chunk": 2}, zero=("before", "after")),
        "CircleAttention": Small(
            (16,),
            {"heads": 4, "chunk": 2, "multiple": 4},
            checks={"causal": False},
            zero=("before", "after"),
        ),
        "Clip": Small((16,), {"cap": 0.5}),
        "BatchNorm": Small((16,)),
        "ConvModule": Small((16,), {"kernel": 3}),
        "ConvPositions": Small((16,), {"kernel": 4}),
        "ConvStem": Small((8, 16), {"norm": LayerNorm}, (floats(3, 9, 8),), (3, 5, 16)),
        "ClampedGLU": Small((16,), {"hidden": 24, "limit": 0.2}),
        "FrameEncoder": Small(
            (),
            {
                "channels": 5,
                "vocab": 20,
                "dim": 16,
                "layers": (Spec(Residual, inner=Spec(blocks.ConvModule, kernel=3)),) * 2,
                "norm": LayerNorm,
                "embedding": Spec(blocks.ConvStem, kernels=(3,), strides=(2,)),
            },
            (floats(3, 8, 5),),
            (3, 4, 20),
            checks={"causal": False},  # convolutions look both ways
        ),
        "GQAttention": Small(
            (16,), {**ATTENTION.keywords, "sinks": True, "gate": blocks.OutputGate}
        ),
        "GatedMLP": Small((16,), {"hidden": 24}),
        "GatedRMSNorm": Small((16,), {"groups": 2}, (floats(3, 7, 16),) * 2, (3, 7, 16)),
        "HashedEmbedding": Small((50, 16), {"buckets": 11}, (ints(50, 3, 7),), (3, 7, 16)),
        "InfiniAttention": Small(
            (16,), {"heads": 4, "kv_heads": 2, "segment": 3, "qk": (Spec(RoPE, theta=100.0),)}
        ),
        "LMHead": Small((16, 50), shape=(3, 7, 50)),
        "LSHAttention": Small(
            (16,),
            {"heads": 4, "buckets": (2, 4), "chunk": 2, "hashes": 2, "multiple": 4},
            checks={"causal": False},  # later ones change what a token sees
            zero=("before", "after", "seed"),
        ),
        "LatentAttention": Small((16,), LATENT),
        "LayerNorm": Small((16,)),
        "LayerMix": Small((2,), inputs=(floats(4, 3, 7, 16),), shape=(4, 7, 16)),
        "LearnedPositions": Small((16,), {"rows": 9, "offset": 2}, zero=("offset",)),
        "LongformerAttention": Small((16,), {"heads": 4, "radius": 2}),
        "MLP": Small((16,), {"hidden": 24}),
        "Mamba": Small((16,), {"inner": 12, "state_dim": 3, "rank": 2, "norm": RMSNorm}),
        "Mamba2": Small(
            (16,),
            {
                "heads": 4,
                "head_dim": 6,
                "state_dim": 5,
                "groups": 2,
                "norm": Spec(blocks.GatedRMSNorm, groups=2),
                "chunk": 3,
            },
        ),
        "MediaTokens": Small(
            (16,),
            {"token": 3, "embed": Spec(PatchEmbedding, patch=2)},
            (floats(3, 7, 16), lambda: torch.tensor([[0, 3, 3, 1, 2, 4, 4]] * 3), floats(3, 2, 12)),
            (3, 7, 16),
            zero=("token",),
        ),
        "MoE": Small(
            (16,),
            {"experts": 4, "top_k": 2, "expert": MLP, "shared": MLP, "shared_gate": True},
        ),
        "Molecules": Small((16,), {"stride": 2, "kernel": 3}),
        "Normed": Small((16,), {"inner": ATTENTION, "norm_in": RMSNorm, "norm_out": LayerNorm}),
        "Parallel": Small((16,), {"branches": {"attention": ATTENTION, "mlp": MLP}}),
        "OutputGate": Small((16, 4, 8), {}, (floats(3, 4, 7, 8), floats(3, 7, 16)), (3, 4, 7, 8)),
        "PatchEmbedding": Small((16,), {"patch": 2}, (floats(3, 5, 12),), (3, 5, 16)),
        "QKNorm": Small((8, 4, 2), {"norm": RMSNorm}, HEADS),
        "QueryScale": Small((8, 4, 2), {"trained": 3}, HEADS, zero=("heads", "kv_heads")),
        "QueryEmbedding": Small(
            (50, 16), inputs=(lambda: torch.randint(-1, 50, (3, 7)),), shape=(3, 7, 16)
        ),
        "Widen": Small((16,), checks={"wide": True}),
        "RMSNorm": Small((16,)),
        "RelativeAttention": Small(
            (16,),
            {"heads": 4, "memory": 3, "filled": True, "mask": Window(3), "norm_in": LayerNorm},
        ),
        "RepeatedEmbedding": Small((50, 16), inputs=(ints(50, 3, 7),), shape=(3, 7, 16)),
        "Residual": Small(
            (16,),
            {"inner": ATTENTION, "norm_in": RMSNorm, "norm_out": RMSNorm, "norm_after": LayerNorm},
        ),
        "Reversible": Small(
            (16,), {"steps": {"attention": Spec(GQAttention, heads=2), "mlp": MLP}, "dropout": 0.1}
        ),
        "RoPE": Small((8, 4, 2), {"theta": 100.0}, HEADS, zero=("heads", "kv_heads")),
        "Scale": Small((16,), {"scale": 0.5}),
        "SigmoidRouter": Small(
            (16, 8, 2), {"groups": 4, "kept_groups": 2}, **ROUTED | {"inputs": (far(12, 16),)}
        ),
        "SinusoidalPositions": Small((16,), zero=("offset",)),
        "SoftCap": Small((4,), {"cap": 2.0}, (floats(3, 4, 5, 7),), zero=("heads",)),
        "SoftmaxRouter": Small((16, 8, 2), {"groups": 4, "kept_groups": 2}, **ROUTED),
        "SparseMixerRouter": Small((16, 8, 2), **ROUTED),
        "Subsampling": Small((9, 16), {"hidden": 4, "depth": 2}, (floats(3, 9, 9),), (3, 3, 16)),
        "TimeNorm": Small((16,)),
        "TurnedAttention": Small((16,), {"heads": 4}),
        "TypeRelation": Small(
            (8, 4), inputs=(HEADS[0], ints(2, 3, 7), ints(2, 3, 9)), shape=(3, 4, 7, 9)
        ),
        "TokenEmbedding": Small((50, 16), inputs=(ints(50, 3, 7),), shape=(3, 7, 16)),
        "TopKRouter": Small((16, 8, 2), **ROUTED),
        "XIELU": Small((16,)),
    }
    | RECURRENT
    | TOKENLESS
)


def public_blocks() -> list[str]:
    """Every public module class of the package."""
    every = {name: getattr(blocks, name) for name in blocks.__all__}
    return [
        n for n, kind in every.items() if isinstance(kind, type) and issubclass(kind, nn.Module)
    ]


def spec_of(name: str, /, **changes: Any) -> Any:
    return Spec(getattr(blocks, name), **(TABLE[name].options | changes))


def build(name: str, /, **changes: Any) -> nn.Module:
    return spec_of(name, **changes)(*TABLE[name].sizes)
