"""Kolibri 1: EXAONE 4's attention between norms, and many small experts in every layer.

Aleph Alpha, "Kolibri-1", 2026.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SigmoidRouter, Spec, at, replace
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._dialects import read_or_null
from blocks.families._exaone import turned, write_exaone
from blocks.families._layers import read_slides
from blocks.families._rope import read_rope
from blocks.families.glm4 import OUT_KEYS
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE, _SHARED = "moe_intermediate_size", "shared_expert_intermediate_size"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 262_144)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    router = Spec(SigmoidRouter, renormalize=c.take("norm_topk_prob", bool, False), by="logit")
    moe = common.moe(c, router, 384, top_k=6, size=_SIZE, hidden=512)
    shared = replace(moe.keywords["expert"], hidden=c.take(_SHARED, int, 512))
    moe, around = replace(moe, shared=shared), {"norm_in": norm, "norm_out": norm}
    slides = read_slides(c, lambda i: (i + 1) % 5 != 0)
    window, layers = read_or_null(c, "sliding_window", 513), []
    for mask, qk in turned(c, norm, read_rope(c, context), slides, window):
        attention = common.attention(c, dim, *qk, kv_heads=4, head_dim=128, mask=mask)
        layers.append(common.layer(attention, moe, **around))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = at(s, "layers.0.mlp")
    own = {
        "norm_topk_prob": at(moe, "router").keywords["renormalize"],
        _SHARED: at(moe, "shared").keywords["hidden"],
    }
    written = common.write_moe(moe, experts="num_experts", size=_SIZE)
    return write_exaone(s, head_dim=True) | written | own


_PARTS = (*common.QK_NORM_KEYS, *OUT_KEYS, *experts.KEYS)
KEYS = Keys(
    ("model.layers.{i}.post_attn_norm.weight", "layers.{i}.attention.norm_out.weight"),
    ("model.layers.{i}.post_ffn_norm.weight", "layers.{i}.mlp.norm_out.weight"),
    ("model.layers.{i}.moe.router.expert_bias", "layers.{i}.mlp.router.correction"),
    *common.DECODER_KEYS,
    *_PARTS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("kolibri1", ("Kolibri1ForCausalLM",), spec, config, KEYS)
