"""Qwen3-Next: three layers of a gated delta net to one of gated attention, and experts in all.

Qwen Team, "Qwen3-Next", 2025; Yang et al., "Gated delta networks", 2024, arXiv:2412.06464.
"""

from __future__ import annotations

from typing import Any

from blocks import SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _delta as delta
from blocks.families._layers import moe_of, read_dense, write_dense
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    router = Spec(SoftmaxRouter, renormalize=c.take("norm_topk_prob", bool, True))
    mlps = (delta.read_experts(c, router, 512, 10), common.gated_mlp(c, hidden=5632))
    return delta.read(c, [mlps[dense] for dense in read_dense(c)], kv_heads=2)


def config(s: Spec) -> dict[str, Any]:
    own = {"norm_topk_prob": at(moe_of(s), "router").keywords["renormalize"]}
    return delta.write(s) | delta.write_experts(s) | write_dense(s) | own


def keys(s: Spec) -> Keys:
    return delta.keys(s, *delta.fused(s), *common.MOE_KEYS, *common.SHARED_EXPERT_KEYS)


FAMILY = Family("qwen3_next", ("Qwen3NextForCausalLM",), spec, config, keys)
