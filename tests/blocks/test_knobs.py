"""No dead knob: each keyword of each public block changes its parameters or its output."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import (
    XIELU,
    Causal,
    Clip,
    Encoder,
    FirstToken,
    Full,
    GatedMLP,
    GenerationError,
    LayerNorm,
    LayerStack,
    LearnedPositions,
    LinearScaling,
    LMHead,
    LongformerAttention,
    MaskedHead,
    MediaTokens,
    Molecules,
    PatchEmbedding,
    Pooler,
    RMSNorm,
    RoPE,
    SequenceHead,
    SigmoidRouter,
    SpanHead,
    Spec,
    TokenEmbedding,
    TypeRelation,
    generate,
)
from blocks.models.places import addresses
from blocks.testing.subject import cast, disturb, run
from tests.blocks.table import ATTENTION, LAYER, READING, TABLE, WRITING, build

OTHER = Spec(GatedMLP, hidden=20)
PATCHES = Spec(PatchEmbedding, patch=2, bias=False)

ENCODER: dict[str, Any] = {
    "vocab": 51,
    "dim": 32,
    "layers": (READING,),
    "norm": None,
    "embedding": Spec(TokenEmbedding, scale=2.0),
    "stem": Spec(LearnedPositions, rows=9),
    "width": 8,
    "pooler": Pooler,
    "marks": (FirstToken(), {"layers": (Spec(LongformerAttention, heads=4, radius=1),)}),
    "ties": (("layers.1", "layers.0"),),
    "context": 8,
}

# A keyword's other value, or (value, what else is set in both); bools and literals need none.
VALUES: dict[str, dict[str, Any]] = {
    "CharacterEncoder": ENCODER
    | {
        "vocab": (51, {"embedding": TokenEmbedding}),
        "local": READING,
        "final": READING,
        "molecules": Spec(Molecules, stride=3),
        "head": SpanHead,
        "marks": (FirstToken(), {"local": Spec(LongformerAttention, heads=4, radius=1)}),
    },
    "CrossAttention": {
        "heads": 2,
        "kv_heads": 4,
        "head_dim": 8,
        "key_bias": True,
        "scale": 0.1,
        "dropout": 0.5,
    },
    "Dropout": {"dropout": 0.1},
    "Encoder": ENCODER | {"head": SpanHead},
    "EncoderDecoder": {
        "vocab": 51,
        "dim": 32,
        "encoder": Spec(LayerStack, layers=(READING,)),
        "decoder": Spec(LayerStack, layers=(WRITING,)),
        "head": Spec(LMHead, scale=0.5),
        "source": 60,
        "ties": (("head.weight", "decoder.embedding.weight"),),
        "context": 8,
    },
    "LayerStack": {
        "layers": (LAYER, LAYER),
        "norm": Spec(LayerNorm),
        "embedding": Spec(TokenEmbedding, scale=2.0),
        "stem": Spec(LearnedPositions, rows=9),
        "width": 8,
    },
    "MaskedHead": {"width": 8, "norm": Spec(LayerNorm)},
    "MaskedLM": ENCODER | {"head": Spec(LMHead)},
    "PretrainingHead": {
        "masked": Spec(MaskedHead, act="relu"),
        "pairs": Spec(SequenceHead, labels=3),
    },
    "RelativeBias": {"buckets": 6, "distance": 10},
    "SequenceHead": {"labels": 4, "act": "relu", "norm": None, "dropout": 0.5},
    "SpanHead": {"act": "relu", "norm": Spec(LayerNorm), "dropout": 0.5},
    "TokenHead": {"labels": 4, "norm": Spec(LayerNorm), "act": None, "dropout": 0.5},
    "TypeEmbedding": {"types": 3},
    "ALiBi": {"max_bias": 4.0, "scale": 0.5},
    "AdaptiveEmbedding": {"cutoffs": (9,), "width": 14, "div": 3, "scale": 2.0, "dropout": 0.5},
    "AdaptiveHead": {"cutoffs": (9,), "width": 14, "div": 3},
    "AxialPositions": {"shape": (4, 3), "widths": (4, 4), "dropout": 0.5},
    "CausalLM": {
        "vocab": 51,
        "dim": 32,
        "layers": (LAYER,),
        "norm": None,
        "embedding": Spec(TokenEmbedding, scale=2.0),
        "media": Spec(MediaTokens, token=3, embed=PATCHES),
        "stem": Spec(LearnedPositions, rows=9),
        "head": Spec(LMHead, scale=0.5),
        "ties": (("head.weight", "embedding.weight"),),
        "context": 8,
    },
    "Chain": {"steps": dict(reversed(TABLE["Chain"].options["steps"].items()))},
    "ChunkAttention": {
        "heads": 2,
        "chunk": 3,
        "before": 0,
        "after": (1, {"mask": Full()}),
        "head_dim": 8,
        "mask": Full(),
        "dropout": 0.5,
    },
    "Clip": {"cap": 0.25},
    "BatchNorm": {"eps": 0.1},
    "ConvModule": {"kernel": 5, "norm": LayerNorm},
    "ConvPositions": {"kernel": 5, "groups": 4},
    "ConvStem": {
        "kernels": (3, 5),
        "strides": (2, 1),
        "between": (12,),
        "norm": None,
    },
    "ClampedGLU": {"hidden": 20, "alpha": 1.0, "limit": 0.1, "dropout": 0.5},
    "FrameEncoder": {
        "channels": 6,
        "vocab": 21,
        "dim": 32,
        "layers": TABLE["FrameEncoder"].options["layers"][:1],
        "norm": None,
        "embedding": Spec(blocks.ConvStem),
        "stem": LayerNorm,
        "width": 8,
        "positions": LayerNorm,
        "head": Spec(LMHead, bias=True),
        "ties": (("layers.1.up.weight", "layers.0.up.weight"),),
    },
    "GQAttention": {
        "heads": 2,
        "kv_heads": 4,
        "head_dim": 8,
        "value_dim": 6,
        "key_bias": True,
        "qk": (Spec(RoPE, theta=10.0),),
        "values": Spec(Clip, cap=0.1),
        "scores": (),
        "mask": Full(),
        "scale": 0.1,
        "dropout": 0.5,
    },
    "GatedMLP": {"hidden": 20, "dropout": 0.5},
    "HashedEmbedding": {"hashes": 4, "buckets": 13, "dropout": 0.5},
    "InfiniAttention": {
        "heads": 2,
        "segment": 2,
        "kv_heads": 4,
        "head_dim": 8,
        "qk": (Spec(RoPE, theta=10.0),),
        "scale": 0.1,
    },
    "LMHead": {"scale": 0.5, "width": 8, "cap": 0.5},
    "LSHAttention": {
        "heads": 2,
        "buckets": 4,
        "chunk": 4,
        "head_dim": 8,
        "hashes": 1,
        "before": 0,
        "after": (1, {"mask": Full()}),
        "multiple": 6,
        "seed": 1,
        "mask": Full(),
        "dropout": 0.5,
    },
    "LatentAttention": {
        "heads": 2,
        "kv_rank": 7,
        "nope_dim": 6,
        "rope_dim": 6,
        "value_dim": 4,
        "q_rank": None,
        "norm": LayerNorm,
        "qk": (Spec(RoPE, theta=10.0, pairing="adjacent"),),
        "mask": Full(),
        "scale": 0.1,
        "dropout": 0.5,
    },
    "LayerNorm": {"eps": 0.1, "offset": 1.0},
    "LearnedPositions": {"rows": 10, "offset": 1, "dropout": 0.5},
    "LongformerAttention": {"heads": 2, "radius": 1, "head_dim": 8, "dropout": 0.5},
    "MLP": {"hidden": 20, "act": XIELU, "dropout": 0.5},
    "MediaTokens": {"token": 4, "embed": PATCHES},
    "MoE": {
        "experts": 3,
        "top_k": 1,
        "expert": OTHER,
        "router": SigmoidRouter,
        "shared": (None, {"shared_gate": False}),
        "scale": 0.5,
    },
    "Molecules": {"stride": 3, "kernel": 2, "norm": RMSNorm, "dropout": 0.5},
    "Normed": {"inner": OTHER, "norm_in": None, "norm_out": None},
    "Parallel": {"branches": {"attention": ATTENTION, "other": OTHER}},
    "PatchEmbedding": {"patch": 3, "channels": 1},
    "QKNorm": {"norm": LayerNorm},
    "QueryScale": {"growth": 0.5, "trained": 2},
    "QueryEmbedding": {"dropout": 0.5},
    "RMSNorm": {"eps": 0.1, "offset": 1.0},
    "RelativeAttention": {
        "heads": 2,
        "head_dim": 8,
        "clamp": 1,
        "memory": (4, {"mask": Causal()}),
        "norm_in": None,
        "relation": TypeRelation,
        "mask": Full(),
        "dropout": 0.5,
    },
    "RepeatedEmbedding": {"times": 4, "dropout": 0.5},
    "Residual": {
        "inner": OTHER,
        "norm_in": None,
        "norm_out": None,
        "norm_after": None,
        "scale": 0.5,
        "dropout": 0.5,
    },
    "Reversible": {"steps": {"attention": OTHER, "mlp": OTHER}, "dropout": 0.5},
    "RoPE": {"theta": 10.0, "rotated": 0.5, "scaling": LinearScaling(2.0)},
    "Scale": {"scale": 2.0},
    "SigmoidRouter": {"groups": 2, "kept_groups": 1, "scale": 2.0},
    "SinusoidalPositions": {"theta": 10.0, "offset": 1, "scale": 0.5, "dropout": 0.5},
    "SoftCap": {"cap": 1.0},
    "SoftmaxRouter": {"groups": (2, {"kept_groups": 1}), "kept_groups": 1, "scale": 2.0},
    "SparseMixerRouter": {"jitter": 0.5},
    "Subsampling": {"hidden": 5, "kernel": 5, "stride": 3, "depth": 1, "scale": 2.0},
    "TimeNorm": {"eps": 0.1},
    "TurnedAttention": {"heads": 2, "theta": 10.0, "mask": Causal(), "dropout": 0.5},
    "TokenEmbedding": {"scale": 2.0, "width": 8, "dropout": 0.5},
    "TopKRouter": {},
    "TypeRelation": {},
    "XIELU": {},
}


def keywords(name: str) -> dict[str, Any]:
    kind = getattr(blocks, name)
    star = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints = get_type_hints(kind.__init__)
    return {option: hints[option] for option in star}


def choices(hint: Any) -> tuple[Any, ...]:
    """Every value of a bool or a literal."""
    if hint is bool:
        return (False, True)
    return get_args(hint) if get_origin(hint) is Literal else ()


KNOBS = [
    pytest.param(name, option, id=f"{name}.{option}") for name in TABLE for option in keywords(name)
]


def test_every_keyword_has_a_value_and_every_value_a_keyword() -> None:
    for name in TABLE:
        needed = {option for option, hint in keywords(name).items() if not choices(hint)}
        assert set(VALUES.get(name, ())) == needed, f"{name}: edit VALUES"


def outputs(module: nn.Module, name: str, option: str) -> tuple[Tensor, ...]:
    """What the module gives where the option must show: dropout in training, roundings in bf16."""
    torch.manual_seed(1)
    if option == "context":
        if not hasattr(module, "init_state") or isinstance(module, Encoder):
            return (torch.tensor(module.context or 0),)  # those who read texts to it ask for that
        start = {"start": [1, 2, 3]} if name == "EncoderDecoder" else {}
        try:
            return (generate(module, [1, 2, 3], max_new_tokens=8, **start),)
        except GenerationError as error:
            assert error.field == "max_new_tokens"
            return ()
    x = TABLE[name].x()
    module.train(option == "dropout")
    return run(module, cast(x, torch.bfloat16) if option == "cast" else x)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {place: tuple(tensor.shape) for place, tensor in addresses(module).items()}


def shared(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def differ(a: nn.Module, b: nn.Module, name: str, option: str) -> bool:
    """Whether two modules have other parameters, or with the same ones another output."""
    if shapes(a) != shapes(b) or shared(a) != shared(b):
        return True
    disturb(a)
    b.load_state_dict(a.state_dict())
    with torch.no_grad():
        one, other = outputs(a, name, option), outputs(b, name, option)
    return len(one) != len(other) or any(
        p.shape != q.shape or not torch.equal(p, q) for p, q in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("name", "option"), KNOBS)
def test_a_keyword_shows(name: str, option: str) -> None:
    every = choices(keywords(name)[option])
    if every:
        for one, other in combinations(every, 2):
            pair = [build(name, **{option: value}) for value in (one, other)]
            assert differ(*pair, name, option), f"{option}={one!r} is as good as {other!r}"
        return
    value, base = VALUES[name][option], {}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        value, base = value
    first, second = build(name, **base), build(name, **base, **{option: value})
    assert differ(first, second, name, option), f"{option}={value!r} changes nothing"
    assert not differ(build(name, **base), build(name, **base), name, option)
