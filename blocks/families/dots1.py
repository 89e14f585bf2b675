"""dots.llm1: Qwen3's attention, and the experts of DeepSeek-V3.

rednote-hilab, "dots.llm1 technical report", 2025, arXiv:2506.05767.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families import _layers as kinds
from blocks.families._dialects import read_or_null
from blocks.families._rope import read_rope
from blocks.hub.config import REQUIRED, Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    qk = (Spec(QKNorm, norm=norm), read_rope(c, context))
    options = {"kv_heads": 32, "bias": c.take("attention_bias", bool, False)}
    window = read_or_null(c, "sliding_window", 4096)
    last = c.take("max_window_layers", int, 62, low=0)
    slides = kinds.read_slides(c, lambda i: window is not None and i >= last)
    c.only("moe_layer_freq", 1)
    router = experts.read_router(c, renormalize=False)
    sizes = {"hidden": 1408, "top_k": REQUIRED, "shared": REQUIRED}
    moe = experts.read_experts(c, router, REQUIRED, **sizes)
    mlps, layers = experts.read_mlps(c, moe, 0, hidden=10_944), []
    for mlp, mask in zip(mlps, kinds.masks(c, slides, window), strict=True):
        attention = common.attention(c, dim, *qk, mask=mask, **options)
        layers.append(common.pre_norm(norm, attention, mlp))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    bias = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    moe = experts.write_experts(s) | experts.write_router(s) | kinds.write_first_dense(s)
    return common.write_decoder(s) | moe | kinds.write_slides(s) | bias


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    *experts.KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("dots1", ("Dots1ForCausalLM",), spec, config, KEYS)
