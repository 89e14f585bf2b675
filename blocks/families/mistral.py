"""Mistral: LLaMA without biases, whose attention may see a sliding window alone.

Jiang et al., "Mistral 7B", 2023, arXiv:2310.06825.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_window
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    window = read_window(c, absent=4096)
    attention = common.attention(c, dim, read_rope(c, context), kv_heads=8, mask=window)
    layer = common.pre_norm(norm, attention, common.gated_mlp(c))
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    return common.write_decoder(s) | common.write_mlp(mlp) | common.write_mask(s)


FAMILY = Family("mistral", ("MistralForCausalLM",), spec, config, KEYS)
