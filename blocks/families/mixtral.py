"""Mixtral: Mistral with a mixture of experts in the place of its MLP.

Jiang et al., "Mixtral of Experts", 2024, arXiv:2401.04088.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_noise, read_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    rope, window = read_rope(c, context, theta=1e6), read_window(c)
    attention = common.attention(c, dim, rope, kv_heads=8, mask=window)
    mlp = common.moe(c, Spec(SoftmaxRouter), experts=8)
    read_noise(c, "router_jitter_noise")
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return common.write_decoder(s) | common.write_moe(at(s, "layers.0.mlp")) | common.write_mask(s)


KEYS = Keys(*common.DECODER_KEYS, *common.EXPERT_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("mixtral", ("MixtralForCausalLM",), spec, config, KEYS)
