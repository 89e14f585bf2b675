"""Granite 3's mixtures with an expert that every token passes.

Granite Team, "Granite 3.0 language models", IBM, 2024; Dai et al., "DeepSeekMoE", 2024,
arXiv:2401.06066.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, TopKRouter, at, replace
from blocks.families import _decoder as common
from blocks.families import granitemoe
from blocks.families._granite import read_granite
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys

_SIZE, _SHARED = "shared_intermediate_size", "layers.{i}.mlp.shared"


def spec(c: Config) -> Spec:
    moe, hidden = common.moe(c, Spec(TopKRouter), experts=8), c.take(_SIZE, int, 0, low=0)
    shared = replace(moe.keywords["expert"], hidden=hidden) if hidden else None
    return read_granite(c, replace(moe, shared=shared))


def config(s: Spec) -> dict[str, Any]:
    shared = at(s, "layers.0.mlp").keywords["shared"]
    return granitemoe.config(s) | {_SIZE: shared.keywords["hidden"] if shared else 0}


SHARED = (
    Join(
        "model.layers.{i}.shared_mlp.input_linear.weight",
        (f"{_SHARED}.gate.weight", f"{_SHARED}.up.weight"),
    ),
    ("model.layers.{i}.shared_mlp.output_linear.weight", f"{_SHARED}.down.weight"),
)
RULES = (*granitemoe.RULES, *SHARED)
KEYS = Keys(*RULES, ignore=common.ROTARY_TABLES)

FAMILY = Family("granitemoeshared", ("GraniteMoeSharedForCausalLM",), spec, config, KEYS)
