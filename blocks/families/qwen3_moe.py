"""Qwen3-MoE: Qwen3 with experts in most layers.

Yang et al., "Qwen3 technical report", 2025, arXiv:2505.09388.
"""

from __future__ import annotations

from typing import Any

from blocks import Causal, QKNorm, RMSNorm, SoftmaxRouter, Spec, Window, at
from blocks.families import _decoder as common
from blocks.families._layers import mlps, read_dense, read_switched_window, write_dense
from blocks.families._dialects import write_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.take("max_window_layers", int, None)  # published files have it, and nothing reads it
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    window = read_switched_window(c, 4096)
    sizes = {"kv_heads": 4, "bias": c.take("attention_bias", bool, False)}
    qk, mask = (Spec(QKNorm, norm=norm), read_rope(c, context)), Window(window) if window else Causal()
    attention = common.attention(c, dim, *qk, mask=mask, **sizes)
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, False))
    size = c.take("moe_intermediate_size", int, 768)
    moe = common.moe(c, router, 128, top_k=8, size="moe_intermediate_size")
    dense = common.gated_mlp(c)
    layers = tuple(
        common.pre_norm(norm, attention, dense if one else moe) for one in read_dense(c)
    )
    return common.decoder(c, layers, norm, dim, context)
