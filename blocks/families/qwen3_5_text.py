"""Qwen3.5's text models: three layers of a gated delta net to one of gated attention.

Qwen Team, "Qwen3.5", 2026; Yang et al., "Gated delta networks", 2024, arXiv:2412.06464.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families import _decoder as common
from blocks.families import _delta as delta
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("mlp_only_layers", [])
    mlps = (common.gated_mlp(c, hidden=12_288),) * count(c, "num_hidden_layers")
    return delta.read(c, mlps, kv_heads=4)


def config(s: Spec) -> dict[str, Any]:
    return delta.write(s) | common.write_mlp(at(s, "layers.0.mlp"))


def keys(s: Spec) -> Keys:
    return delta.keys(s, *delta.apart())


FAMILY = Family("qwen3_5_text", ("Qwen3_5ForCausalLM",), spec, config, keys)
