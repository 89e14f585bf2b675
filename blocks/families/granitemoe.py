"""Granite 3's mixtures: Granite with experts, weighed by a softmax over the chosen ones.

Granite Team, "Granite 3.0 language models", IBM, 2024; Shen et al., "Power scheduler", 2024,
arXiv:2408.13359.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, TopKRouter, at
from blocks.families import _decoder as common
from blocks.families._granite import read_granite, write_granite
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys, Stack


def spec(c: Config) -> Spec:
    return read_granite(c, common.moe(c, Spec(TopKRouter), experts=8))


def config(s: Spec) -> dict[str, Any]:
    return write_granite(s) | common.write_moe(at(s, "layers.0.mlp"))


_MOE = "model.layers.{i}.block_sparse_moe"
_OURS = "layers.{i}.mlp.experts.{e}"
_IN, _OUT = (_OURS + ".gate.weight", _OURS + ".up.weight"), (_OURS + ".down.weight",)

NEWER = (
    (_MOE + ".router.weight", "layers.{i}.mlp.router.weight"),
    Stack(_MOE + ".experts.gate_up_proj", _IN),
    Stack(_MOE + ".experts.down_proj", _OUT),
)
RULES = (
    *common.DECODER_KEYS,
    (_MOE + ".router.layer.weight", "layers.{i}.mlp.router.weight"),
    Stack(_MOE + ".input_linear.weight", _IN),
    Stack(_MOE + ".output_linear.weight", _OUT),
    *NEWER,
)
KEYS = Keys(*RULES, ignore=common.ROTARY_TABLES)

FAMILY = Family("granitemoe", ("GraniteMoeForCausalLM",), spec, config, KEYS)
