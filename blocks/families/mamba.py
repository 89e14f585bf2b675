"""Mamba, from files of transformers and from the first ones, whose config has no model_type.

Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
arXiv:2312.00752; bytes as tokens: Wang et al., "MambaByte", 2024, arXiv:2401.13660.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _backbone as common
from blocks.families import _mamba as own
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    return read(c, None)


def read(c: Config, inside: Spec | None) -> Spec:
    """The model, whose mixers may have norms inside."""
    norm = Spec(RMSNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    return common.read_backbone(c, own.read_selective(c, inside), norm, common.read_dim(c))


def config(s: Spec) -> dict[str, Any]:
    return common.write_backbone(s) | own.write_selective(at(s, "layers.0.mixer"))


KEYS = Keys(*common.BACKBONE_KEYS, *own.selective_keys("backbone.layers.{i}.mixer"))

FAMILY = Family("mamba", ("MambaForCausalLM",), spec, config, KEYS)
