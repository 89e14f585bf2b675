"""Laguna, Poolside's mixtures: gated attention, whose windows have heads and a RoPE of their own,
and the experts of DeepSeek-V3.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SigmoidRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families import _layers as kinds
from blocks.families._laguna import read_attentions, write_attentions
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZE, _SHARED = "moe_intermediate_size", "shared_expert_intermediate_size"
_SCALE, _CAP = "moe_routed_scaling_factor", "moe_router_logit_softcapping"


def spec(c: Config) -> Spec:
    c.only("moe_apply_router_weight_on_input", False)
    c.only("norm_topk_prob", True)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    scale, cap = c.take(_SCALE, float, 1.0), c.take(_CAP, float, 0.0)
    if cap < 0:
        raise c.error(_CAP, f"must not be below zero, as {cap} is")
    router = Spec(SigmoidRouter, scale=scale, cap=cap or None)
    shared = common.gated_mlp(c, size=_SHARED, hidden=512)
    moe = common.moe(c, router, 256, top_k=8, size=_SIZE, hidden=512, shared=shared)
    mlps = (moe, common.gated_mlp(c, hidden=8192))
    every, dense = read_attentions(c, dim, context, norm), kinds.read_listed_dense(c, (0,))
    pairs = zip(every, dense, strict=True)
    layers = tuple(common.pre_norm(norm, one, mlps[alone]) for one, alone in pairs)
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = kinds.moe_of(s)
    router = at(moe, "router").keywords
    own = {
        _CAP: router["cap"] or 0.0,
        _SCALE: router["scale"],
        _SHARED: moe.keywords["shared"].keywords["hidden"],
    }
    mlps = common.write_moe(moe, experts="num_experts", size=_SIZE)
    return write_attentions(s) | mlps | kinds.write_first_dense(s, listed=True) | own


_OTHER = (
    ("model.layers.{i}.self_attn.g_proj.weight", "layers.{i}.attention.gate.weight"),
    ("model.layers.{i}.mlp.experts.e_score_correction_bias", "layers.{i}.mlp.router.correction"),
    *common.gated_keys("shared_expert.", "shared."),
)
_PARTS = (*common.QK_NORM_KEYS, *_OTHER, *experts.KEYS)  # as published first
KEYS = Keys(*common.DECODER_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("laguna", ("LagunaForCausalLM",), spec, config, KEYS)
