"""Phi-3.5-MoE: layer norms, LongRoPE with magnitudes of its own, and experts behind a SparseMixer.

Abdin et al., "Phi-3 technical report", 2024, arXiv:2404.14219; Liu et al., "GRIN", 2024,
arXiv:2409.12136.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, SparseMixerRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_noise, read_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(LayerNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("attention_bias", bool, False)
    rope, window = read_rope(c, context, theta=1e6), read_window(c)
    attention = common.attention(c, dim, rope, bias=bias, kv_heads=8, mask=window)
    router = Spec(SparseMixerRouter, jitter=c.take("router_jitter_noise", float, 0.01))
    mlp = common.moe(c, router, experts=16)
    read_noise(c, "input_jitter_noise")
    c.only("hidden_dropout", 0.0)
    head = Spec(LMHead, bias=c.take("lm_head_bias", bool, False))
    layer = common.pre_norm(norm, attention, mlp)
    return common.decoder(c, layer, norm, dim, context, head=head)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "lm_head_bias": at(s, "head").keywords["bias"],
        "router_jitter_noise": at(s, "layers.0.mlp.router").keywords["jitter"],
    }
    moe = common.write_moe(at(s, "layers.0.mlp"))
    return common.write_decoder(s, mscales=True) | moe | common.write_mask(s) | own


KEYS = Keys(*common.DECODER_KEYS, *common.EXPERT_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("phimoe", ("PhimoeForCausalLM", "PhiMoEForCausalLM"), spec, config, KEYS)
