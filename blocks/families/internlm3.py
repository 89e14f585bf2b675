"""InternLM 3: LLaMA with two key heads, and the same answer about biases everywhere.

Shanghai AI Laboratory, "InternLM3", 2025; Cai et al., "InternLM2", 2024, arXiv:2403.17297.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec
from blocks.families import _decoder as common
from blocks.families._llama import KEYS, write_llama
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("attention_bias", bool, False, aliases=("qkv_bias",))
    if c.take("mlp_bias", bool, False, aliases=("bias",)) != bias:
        raise c.error("bias", "is another than qkv_bias; only one for both can be read")
    options = {"bias": bias, "kv_heads": 2, "head_dim": 128}
    attention = common.attention(c, dim, read_rope(c, context), **options)
    mlp = common.gated_mlp(c, bias=bias)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return write_llama(s, head_dim=True)


FAMILY = Family("internlm3", ("InternLM3ForCausalLM", "LlamaForCausalLM"), spec, config, KEYS)
