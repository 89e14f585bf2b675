"""Granite 4: Granite whose layers are mostly Mamba-2's, with experts or without.

Granite Team, "Granite 4.0 language models", IBM, 2025; Dao and Gu, "Transformers are SSMs", 2024,
arXiv:2405.21060.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families import _granite4 as own
from blocks.families import _mamba2 as mamba
from blocks.families._granite import read_granite, write_granite
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    mamba.read_silu(c)
    c.only("normalization_function", "rmsnorm")
    c.take("init_method", str, None)  # of fresh weights
    c.assume(rope_theta=10_000.0)  # which files without positions need not say
    whole, limits = read_granite(c, own.read_mlp(c)), mamba.read_limits(c)
    dim, eps = whole.keywords["dim"], at(whole, "norm").keywords["eps"]
    mixer = mamba.read_mixer(c, dim, mamba.HYBRID, eps, limits=limits)
    return own.read_layers(c, whole, mixer)


def config(s: Spec) -> dict[str, Any]:
    layers = own.write_layers(s)
    rope = {"rope": {}} if layers["position_embedding_type"] == "nope" else {}
    mixer = mamba.write_mixer(s, mamba.HYBRID) | mamba.write_limits(s)
    return write_granite(s, **rope) | own.write_mlp(s) | layers | mixer


FAMILY = Family(
    "granitemoehybrid",
    ("GraniteMoeHybridForCausalLM",),
    spec,
    config,
    own.KEYS,
    shortest={"layer_types": ["attention", "mamba"], "num_hidden_layers": 2},
)
