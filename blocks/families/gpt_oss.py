"""gpt-oss: sinks, a window in every other layer, and clamped experts that files hold in MXFP4.

OpenAI, "gpt-oss-120b & gpt-oss-20b model card", 2025, arXiv:2508.10925.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, YarnScaling, at
from blocks.families import _decoder as common
from blocks.families._clamped import EXPERT_KEYS, read_experts, write_experts
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("hidden_act", "silu")
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    c.take("initial_context_length", int, None)  # rope_scaling says it as well
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5), cast="after")
    stretched = YarnScaling(32.0, 4096, truncate=False)
    rope = read_rope(c, context, theta=150_000.0, scaling=stretched)
    slides = read_slides(c, lambda i: i % 2 == 0)
    own = {"bias": c.take("attention_bias", bool, True), "kv_heads": 8, "head_dim": 64}
    mlp = read_experts(c)
    layers = tuple(
        common.pre_norm(norm, common.attention(c, dim, rope, mask=mask, sinks=True, **own), mlp)
        for mask in masks(c, slides, read_or_null(c, "sliding_window", 128))
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    biases = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    fields = common.write_decoder(s, head_dim=True) | write_slides(s) | write_experts(s) | biases
    return fields | {  # null would mean something, and be no answer
        "rope_scaling": fields["rope_scaling"] or {"rope_type": "default"},
        "sliding_window": fields["sliding_window"] or 128,
    }


KEYS = Keys(
    *common.DECODER_KEYS,
    ("model.layers.{i}.self_attn.sinks", "layers.{i}.attention.sinks"),
    *EXPERT_KEYS,
)

FAMILY = Family("gpt_oss", ("GptOssForCausalLM",), spec, config, KEYS)
