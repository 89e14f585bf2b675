"""Youtu-LLM: LLaMA with DeepSeek's latent attention.

Tencent Youtu Lab, "Youtu-LLM", 2025, arXiv:2512.24618.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    adjacent = c.take("rope_interleave", bool, True)
    attention = deepseek.latent(c, context, adjacent=adjacent, kv_heads=16)
    layer = common.pre_norm(norm, attention, common.gated_mlp(c))
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return deepseek.write_latent(s) | deepseek.write_pairing(s) | mlp


KEYS = Keys(
    *common.END_KEYS,
    *common.PRE_NORM_KEYS,
    *deepseek.LATENT_KEYS,
    *common.GATED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family(
    "youtu", ("YoutuForCausalLM",), spec, config, KEYS, shortest={"num_attention_heads": 16}
)
