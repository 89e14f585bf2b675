"""Flint: Qwen3-MoE with sinks, windows in most layers and no positions in the others, experts
chosen by a sigmoid, and one that all tokens pass.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SigmoidRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._exaone import turned
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE, _SHARED = "moe_intermediate_size", "shared_expert_intermediate_size"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 262_144)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), cast="after")
    rope, window = read_rope(c, context), c.take("sliding_window", int, 513)
    bias = c.take("attention_bias", bool, False)
    options: dict[str, Any] = {"kv_heads": 4, "head_dim": 128, "bias": bias, "sinks": True}
    renormalize = c.take("norm_topk_prob", bool, True)
    router = Spec(SigmoidRouter, renormalize=renormalize, correction=False)
    shared = common.gated_mlp(c, size=_SHARED, hidden=1024)
    moe = common.moe(c, router, 256, top_k=6, size=_SIZE, hidden=512, shared=shared)
    mlps, dense = (moe, common.gated_mlp(c, hidden=6144)), kinds.read_dense(c, (0, 1))
    last = len(dense) - 1  # all but the first two, every fourth and the last
    slides = kinds.read_slides(c, lambda i: i > 1 and i % 4 != 1 and i != last)
    layers = []
    for (mask, qk), one in zip(turned(c, norm, rope, slides, window), dense, strict=True):
        attention = common.attention(c, dim, *qk, mask=mask, **options)
        layers.append(common.pre_norm(norm, attention, mlps[one]))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = kinds.moe_of(s)
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
        _SHARED: moe.keywords["shared"].keywords["hidden"],
    }
    experts = common.write_moe(moe, experts="num_experts", size=_SIZE)
    layers = kinds.write_slides(s) | kinds.write_dense(s)
    return common.write_decoder(s, head_dim=True) | experts | layers | own


_SINKS = tuple(
    (f"model.layers.{{i}}.self_attn.{name}", "layers.{i}.attention.sinks")
    for name in ("softmax_offset", "sinks")  # as published, and as transformers has it
)
_PARTS = (*common.QK_NORM_KEYS, *_SINKS, *common.GATED_MLP_KEYS, *common.MOE_KEYS)
KEYS = Keys(*common.DECODER_KEYS, *_PARTS, *common.SHARED_EXPERT_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("flint", ("FlintForCausalLM",), spec, config, KEYS)
