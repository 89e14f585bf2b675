"""Qwen2 and 2.5: LLaMA with biases on q, k and v alone, and windows in its later layers.

Yang et al., "Qwen2", 2024, arXiv:2407.10671; "Qwen2.5", 2024, arXiv:2412.15115.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._layers import read_late_windows, write_late_windows
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("use_mrope", False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    rope, mlp = read_rope(c, context), common.gated_mlp(c)
    biases = {"bias": True, "out_bias": False, "kv_heads": 32}
    layers = tuple(
        common.pre_norm(norm, common.attention(c, dim, rope, mask=mask, **biases), mlp)
        for mask in read_late_windows(c)
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    return common.write_decoder(s) | common.write_mlp(mlp) | write_late_windows(s)


FAMILY = Family("qwen2", ("Qwen2ForCausalLM",), spec, config, KEYS)
