"""ERNIE 4.5's dense models: LLaMA whose heads turn in adjacent pairs of channels.

Baidu ERNIE Team, "ERNIE 4.5 technical report", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("use_bias", bool, False)
    rope = read_rope(c, context, theta=5e5, pairing="adjacent")
    attention = common.attention(c, dim, rope, kv_heads=2, head_dim=128, bias=bias)
    mlp = common.gated_mlp(c, bias=bias)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    bias = {"use_bias": mlp.keywords["bias"]}
    return common.write_decoder(s, head_dim=True) | common.write_mlp(mlp) | bias


FAMILY = Family("ernie4_5", ("Ernie4_5ForCausalLM",), spec, config, KEYS)
