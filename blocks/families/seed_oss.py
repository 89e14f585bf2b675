"""Seed-OSS: LLaMA with biases on q, k and v, heads of a free width, and dropout in training.

ByteDance Seed, "Seed-OSS", 2025.
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
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 524_288)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    biases = {
        "bias": c.take("attention_bias", bool, True),
        "out_bias": c.take("attention_out_bias", bool, False),
    }
    sizes, rope = {"kv_heads": 8, "head_dim": 128, "dropout": 0.1}, read_rope(c, context)
    attention = common.attention(c, dim, rope, **biases, **sizes)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    dropout = c.take("residual_dropout", float, 0.1)
    layer = common.pre_norm(norm, attention, mlp, dropout=dropout)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, mlp = at(s, "layers.0.attention").keywords, at(s, "layers.0.mlp")
    own = {
        "attention_bias": attention["bias"],
        "attention_out_bias": attention["out_bias"],
        "mlp_bias": mlp.keywords["bias"],
        "residual_dropout": s.keywords["layers"][0].keywords["steps"]["mlp"].keywords["dropout"],
    }
    return common.write_decoder(s, head_dim=True) | common.write_mlp(mlp) | own


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("seed_oss", ("SeedOssForCausalLM",), spec, config, KEYS)
