"""Qwen3: LLaMA with normed queries and keys, heads of a free width, and Qwen2's windows.

Yang et al., "Qwen3 technical report", 2025, arXiv:2505.09388.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._layers import read_late_windows, write_late_windows
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    qk, mlp = (Spec(QKNorm, norm=norm), read_rope(c, context)), common.gated_mlp(c)
    sizes = {"kv_heads": 32, "head_dim": 128, "bias": c.take("attention_bias", bool, False)}
    layers = tuple(
        common.pre_norm(norm, common.attention(c, dim, *qk, mask=mask, **sizes), mlp)
        for mask in read_late_windows(c)
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    biases = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, head_dim=True) | mlp | write_late_windows(s) | biases


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    *common.GATED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("qwen3", ("Qwen3ForCausalLM",), spec, config, KEYS)
