"""Hunyuan's dense models: LLaMA whose queries and keys are normed after they are turned.

Tencent Hunyuan Team, "Hunyuan-7B", 2025; Sun et al., "Hunyuan-Large", 2024, arXiv:2411.02265.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._hunyuan import QK_KEYS, read_stretched
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, Spec(QKNorm, norm=norm), bias=bias)
    attention = read_stretched(c, attention, context)
    mlp = common.gated_mlp(c)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    bias = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, head_dim=True) | mlp | bias


KEYS = Keys(*common.DECODER_KEYS, *QK_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("hunyuan_v1_dense", ("HunYuanDenseV1ForCausalLM",), spec, config, KEYS)
