"""OLMoE: many small experts whose weights stay as they are, and normed queries and keys.

Muennighoff et al., "OLMoE", 2024, arXiv:2409.02060.
"""

from __future__ import annotations

from typing import Any

from blocks import Clip, QKNorm, RMSNorm, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    cap = c.take("clip_qkv", float, None)
    clip = None if cap is None else Spec(Clip, cap=cap)
    clipped = () if clip is None else (Spec(QKNorm, norm=clip),)
    qk = (Spec(QKNorm, norm=norm, over="all"), *clipped, read_rope(c, context))
    options = {"bias": c.take("attention_bias", bool, False), "values": clip}
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, False))
    mlp = common.moe(c, router, experts=64, top_k=8)
    layer = common.pre_norm(norm, common.attention(c, dim, *qk, **options), mlp)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "clip_qkv": attention["values"].keywords["cap"] if attention["values"] else None,
        "norm_topk_prob": at(s, "layers.0.mlp.router").keywords["renormalize"],
    }
    moe = common.write_moe(at(s, "layers.0.mlp"), experts="num_experts")
    return common.write_decoder(s) | moe | own


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    *common.MOE_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("olmoe", ("OlmoeForCausalLM",), spec, config, KEYS)
