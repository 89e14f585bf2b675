"""Helium: LLaMA whose heads turn in adjacent pairs of channels.

Kyutai, "Helium 1", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-8), cast="after")
    rope = read_rope(c, context, theta=1e5, pairing="adjacent")
    options = {"bias": c.take("attention_bias", bool, False), "out_bias": False}
    attention = common.attention(c, dim, rope, kv_heads=20, head_dim=128, **options)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    return common.write_decoder(s, head_dim=True) | common.write_mlp(mlp) | biases


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("helium", ("HeliumForCausalLM",), spec, config, KEYS)
