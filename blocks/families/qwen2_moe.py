"""Qwen2-MoE: Qwen2 with experts, whose weights stay as they are, and one that all tokens pass.

Qwen Team, "Qwen1.5-MoE", 2024; Yang et al., "Qwen2 technical report", 2024, arXiv:2407.10671.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE, _SHARED = "moe_intermediate_size", "shared_expert_intermediate_size"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    last, window = c.take("max_window_layers", int, 28, low=0), kinds.read_switched_window(c, 4096)
    slides = kinds.read_slides(c, lambda i: window is not None and i % 2 == 0 and i < last)
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, False))
    shared = {"shared": common.gated_mlp(c, size=_SHARED, hidden=5632), "shared_gate": True}
    moe = common.moe(c, router, 60, top_k=4, size=_SIZE, hidden=1408, **shared)
    mlps = (moe, common.gated_mlp(c, hidden=5632))
    bias = {"bias": c.take("qkv_bias", bool, True), "out_bias": False}
    rope, masks, layers = read_rope(c, context), kinds.masks(c, slides, window), []
    for mask, dense in zip(masks, kinds.read_dense(c), strict=True):
        attention = common.attention(c, dim, rope, mask=mask, kv_heads=16, **bias)
        layers.append(common.pre_norm(norm, attention, mlps[dense]))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe, windows = kinds.moe_of(s), kinds.write_late_windows(s)
    own = {
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
        "qkv_bias": at(s, "layers.0.attention").keywords["bias"],
        _SHARED: moe.keywords["shared"].keywords["hidden"],
    }
    experts = common.write_moe(moe, experts="num_experts", size=_SIZE)
    return common.write_decoder(s) | experts | kinds.write_dense(s) | windows | own


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.GATED_MLP_KEYS,
    *common.MOE_KEYS,
    *common.SHARED_EXPERT_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("qwen2_moe", ("Qwen2MoeForCausalLM",), spec, config, KEYS)
