"""Ministral: Mistral with windows in some layers and not in others.

Mistral AI, "Un Ministral, des Ministraux", 2024.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    rope, mlp = read_rope(c, context), common.gated_mlp(c)
    window = read_or_null(c, "sliding_window", 4096)
    layers = tuple(
        common.pre_norm(norm, common.attention(c, dim, rope, kv_heads=8, mask=mask), mlp)
        for mask in masks(c, read_slides(c, lambda i: window is not None), window)
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, head_dim=True) | mlp | write_slides(s)


FAMILY = Family("ministral", ("MinistralForCausalLM",), spec, config, KEYS)
