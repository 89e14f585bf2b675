"""Granite 3: LLaMA with numbers that embeddings, scores, branches and logits are multiplied with.

Granite Team, "Granite 3.0 language models", IBM, 2024.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families import _decoder as common
from blocks.families._granite import read_granite, write_granite
from blocks.families._llama import KEYS
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return read_granite(c, common.gated_mlp(c, bias=c.take("mlp_bias", bool, False)))


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    return write_granite(s) | common.write_mlp(mlp) | {"mlp_bias": mlp.keywords["bias"]}


FAMILY = Family("granite", ("GraniteForCausalLM",), spec, config, KEYS)
