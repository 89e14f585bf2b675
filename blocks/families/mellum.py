"""Mellum 2: Qwen3-MoE with windows in some layers, which have a RoPE of their own.

JetBrains, "Mellum2-12B-A2.5B", 2026.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, SoftmaxRouter, Spec, Window, at
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._dialects import read_or_null
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE = "moe_intermediate_size"


def spec(c: Config) -> Spec:
    # Of a second model in the same file.
    c.take("num_mtp_layers", int, None, aliases=("num_nextn_predict_layers",), low=0)
    for name in ("mtp_layer_types", "mtp_mlp_layer_types"):
        c.take(name, tuple[str, ...], None)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    norms, ropes = Spec(QKNorm, norm=norm), read_ropes(c, context, 5e5, "rope_local_base_freq")
    options = {"kv_heads": 4, "head_dim": 128, "bias": c.take("attention_bias", bool, False)}
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, True))
    moe = common.moe(c, router, 64, top_k=8, size=_SIZE, hidden=896)
    mlps, layers = (moe, common.gated_mlp(c, hidden=7168)), []
    slides, window = kinds.read_slides(c, lambda i: False), read_or_null(c, "sliding_window", 1024)
    every = zip(kinds.masks(c, slides, window), kinds.read_first_dense(c, 0), strict=True)
    for mask, dense in every:
        qk = (norms, ropes[isinstance(mask, Window)])
        attention = common.attention(c, dim, *qk, mask=mask, **options)
        layers.append(common.pre_norm(norm, attention, mlps[dense]))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = kinds.moe_of(s)
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
    }
    experts = common.write_moe(moe, experts="num_experts", size=_SIZE)
    layers = kinds.write_first_dense(s, listed=True) | kinds.write_slides(s)
    return common.write_decoder(s, head_dim=True, rope=write_ropes(s)) | experts | layers | own


_PARTS = (*common.QK_NORM_KEYS, *common.GATED_MLP_KEYS, *common.MOE_KEYS)
KEYS = Keys(*common.DECODER_KEYS, *_PARTS, ignore=common.ROTARY_TABLES, apart=("mtp.",))

FAMILY = Family("mellum", ("MellumForCausalLM",), spec, config, KEYS)
