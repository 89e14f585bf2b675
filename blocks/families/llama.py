"""LLaMA: pre-norm layers of grouped-query attention with RoPE and a gated MLP.

Touvron et al., 2023, arXiv:2302.13971 and arXiv:2307.09288; Grattafiori et al., "The Llama 3 Herd
of Models", 2024, arXiv:2407.21783.
"""

from __future__ import annotations

from typing import Any

from blocks import GatedMLP, GQAttention, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, read_head_dim, write_activation
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, heads = c.take("hidden_size", int), c.take("num_attention_heads", int)
    context = c.take("max_position_embeddings", int, 2048)
    bias = c.take("attention_bias", bool, False)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    attention = Spec(
        GQAttention,
        heads=heads,
        kv_heads=c.take("num_key_value_heads", int, heads),
        head_dim=read_head_dim(c, dim, heads),
        bias=bias,
        out_bias=bias,
        qk=(read_rope(c, context),),
        dropout=c.take("attention_dropout", float, 0.0),
    )
    mlp = Spec(
        GatedMLP,
        hidden=c.take("intermediate_size", int),
        act=read_activation(c),
        bias=c.take("mlp_bias", bool, False),
    )
    return common.decoder(c, common.pre_norm(norm, attention=attention, mlp=mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp").keywords
    return common.write_decoder(s) | {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "hidden_act": write_activation(mlp["act"]),
        "intermediate_size": mlp["hidden"],
        "mlp_bias": mlp["bias"],
    }


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("llama", ("LlamaForCausalLM",), spec, config, KEYS)
