"""Qwen3-MoE: Qwen3 with experts in most layers.

Yang et al., "Qwen3 technical report", 2025, arXiv:2505.09388.
"""

from __future__ import annotations

from typing import Any

from blocks import Causal, QKNorm, RMSNorm, SoftmaxRouter, Spec, Window, at
from blocks.families import _decoder as common
from blocks.families._layers import moe_of, read_dense, read_switched_window, write_dense
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE = "moe_intermediate_size"


def spec(c: Config) -> Spec:
    c.take("max_window_layers", int, None)  # published files have it, and nothing reads it
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    qk, window = (Spec(QKNorm, norm=norm), read_rope(c, context)), read_switched_window(c, 4096)
    mask, bias = Window(window) if window else Causal(), c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, *qk, mask=mask, kv_heads=4, bias=bias)
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, False))
    moe = common.moe(c, router, 128, top_k=8, size=_SIZE, hidden=768)
    mlps = (moe, common.gated_mlp(c, hidden=6144))
    layers = common.pre_norms(norm, attention, [mlps[dense] for dense in read_dense(c)])
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, moe = at(s, "layers.0.attention").keywords, moe_of(s)
    slides = isinstance(attention["mask"], Window)
    own = {
        "attention_bias": attention["bias"],
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
        "sliding_window": attention["mask"].size if slides else None,
        "use_sliding_window": slides,
    }
    experts = common.write_moe(moe, experts="num_experts", size=_SIZE)
    return common.write_decoder(s, head_dim=True) | experts | write_dense(s) | own


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    *common.GATED_MLP_KEYS,
    *common.MOE_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("qwen3_moe", ("Qwen3MoeForCausalLM",), spec, config, KEYS)
