"""FlexOlmo: OLMo 2 with experts, each of which may have been trained on data of its own.

Shi et al., "FlexOlmo", 2025, arXiv:2507.07024.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), cast="after")
    qk = (Spec(QKNorm, norm=norm, over="all"), read_rope(c, context, theta=5e5))
    attention = common.attention(c, dim, *qk, bias=c.take("attention_bias", bool, False))
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, False))
    layer = common.layer(attention, common.moe(c, router, experts=7, top_k=5), norm_out=norm)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = at(s, "layers.0.mlp")
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
    }
    return common.write_decoder(s) | common.write_moe(moe, experts="num_experts") | own


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.QK_NORM_KEYS,
    *common.OUT_NORM_KEYS,
    *common.MOE_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("flex_olmo", ("FlexOlmoForCausalLM",), spec, config, KEYS)
