"""Qwen3.5-MoE's text models: Qwen3.5 with experts in all layers.

Qwen Team, "Qwen3.5", 2026; Yang et al., "Gated delta networks", 2024, arXiv:2412.06464.
"""

from __future__ import annotations

from typing import Any

from blocks import SoftmaxRouter, Spec
from blocks.families import _decoder as common
from blocks.families import _delta as delta
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("mlp_only_layers", [])
    moe = delta.read_experts(c, Spec(SoftmaxRouter, renormalize=True), 256, 8)
    return delta.read(c, (moe,) * count(c, "num_hidden_layers"), kv_heads=2)


def config(s: Spec) -> dict[str, Any]:
    return delta.write(s) | delta.write_experts(s)


def keys(s: Spec) -> Keys:
    return delta.keys(s, *delta.apart(), *common.MOE_KEYS, *common.SHARED_EXPERT_KEYS)


FAMILY = Family("qwen3_5_moe_text", ("Qwen3_5MoeForCausalLM",), spec, config, keys)
