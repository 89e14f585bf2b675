"""Code World Model: LLaMA with a window in three of four layers, stretched as LLaMA 3 is.

FAIR CodeGen Team, "CWM", Meta, 2025, arXiv:2510.02387.
"""

from __future__ import annotations

from typing import Any

from blocks import Llama3Scaling, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("attention_bias", False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    rope = read_rope(c, context, theta=1e6, scaling=Llama3Scaling(16.0, 1.0, 4.0, 8192))
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    heads: dict[str, Any] = {"kv_heads": 8, "head_dim": 128}
    slides = read_slides(c, lambda i: i % 4 != 0)
    layers = tuple(
        common.pre_norm(norm, common.attention(c, dim, rope, mask=mask, **heads), mlp)
        for mask in masks(c, slides, read_or_null(c, "sliding_window", 8192))
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    fields = common.write_decoder(s, head_dim=True) | common.write_mlp(mlp) | write_slides(s)
    scaling = fields["rope_scaling"] or {"rope_type": "default"}  # null would mean LLaMA 3's
    return fields | {"mlp_bias": mlp.keywords["bias"], "rope_scaling": scaling}


FAMILY = Family("cwm", ("CwmForCausalLM",), spec, config, KEYS)
