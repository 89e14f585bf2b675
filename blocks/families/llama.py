"""LLaMA: pre-norm layers of grouped-query attention with RoPE and a gated MLP.

Touvron et al., 2023, arXiv:2302.13971 and arXiv:2307.09288; Grattafiori et al., "The Llama 3 Herd
of Models", 2024, arXiv:2407.21783.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("is_llama_config", True)  # SmolLM2 says this and the next
    c.only("rope_interleaved", False)
    dim = c.take("hidden_size", int)
    oldest = c.take("max_sequence_length", int, 2048)  # as the first files had it
    context = c.take("max_position_embeddings", int, oldest)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, read_rope(c, context), bias=bias)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    return common.write_decoder(s) | common.write_mlp(mlp) | biases


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("llama", ("LlamaForCausalLM",), spec, config, KEYS)
