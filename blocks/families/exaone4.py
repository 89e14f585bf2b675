"""EXAONE 4: norms of what each branch finds, normed queries and keys, windows in most layers and
no positions in the others.

LG AI Research, "EXAONE 4.0", 2025, arXiv:2507.11407.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import count
from blocks.families._exaone import read_exaone, write_exaone
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    mlps = (common.gated_mlp(c),) * count(c, "num_hidden_layers")
    return read_exaone(c, mlps, "norm_out")


def config(s: Spec) -> dict[str, Any]:
    return write_exaone(s) | common.write_mlp(at(s, "layers.0.mlp"))


_PARTS = (*common.QKV_KEYS, *common.QK_NORM_KEYS, *common.OUT_NORM_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*common.END_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("exaone4", ("Exaone4ForCausalLM",), spec, config, KEYS)
