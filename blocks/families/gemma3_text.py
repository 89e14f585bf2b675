"""Gemma 3's text models: Gemma 2 with normed queries and keys for its soft cap, and two RoPEs.

Gemma Team, "Gemma 3 technical report", 2025, arXiv:2503.19786.
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, QKNorm, RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, read_or_null
from blocks.families._layers import every, masks, read_slides, write_slides
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("use_bidirectional_attention", False)
    c.only("attn_logit_softcapping", None)  # the reference has the field and doesn't read it
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), offset=1.0, cast="after")
    scale = c.take("query_pre_attn_scalar", int, 256) ** -0.5
    options = {"scale": scale, "bias": c.take("attention_bias", bool, False)}
    full, local = read_ropes(c, context, 1e6, _LOCAL)
    act = read_activation(c, "hidden_activation", "gelu_pytorch_tanh", aliases=("hidden_act",))
    mlp, around = common.gated_mlp(c, act=act), {"norm_in": norm, "norm_out": norm}
    sizes, norms = {"kv_heads": 4, "head_dim": 256}, Spec(QKNorm, norm=norm)
    slides = read_slides(c, every(c, "sliding_window_pattern", 6))
    window = read_or_null(c, "sliding_window", 4096)
    layers = []
    for mask, slide in zip(masks(c, slides, window), slides, strict=True):
        qk = (norms, local if slide else full)
        attention = common.attention(c, dim, *qk, mask=mask, **sizes, **options)
        layers.append(common.layer(attention, mlp, **around))
    embedding = Spec(TokenEmbedding, scale=dim**0.5)
    head = Spec(LMHead, cap=c.take("final_logit_softcapping", float, None))
    return common.decoder(c, tuple(layers), norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "final_logit_softcapping": at(s, "head").keywords["cap"],
        "query_pre_attn_scalar": round(attention["scale"] ** -2),
    }
    names = {"act": "hidden_activation", "tanh": "gelu_pytorch_tanh"}
    mlp, rope = common.write_mlp(at(s, "layers.0.mlp"), **names), write_ropes(s, _LOCAL)
    return common.write_decoder(s, head_dim=True, rope=rope) | mlp | write_slides(s) | own


_LOCAL = "rope_local_base_freq"
_ENDS = (*common.END_KEYS, *common.QKV_KEYS, *common.QK_NORM_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*_ENDS, *common.SANDWICH_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("gemma3_text", ("Gemma3ForCausalLM",), spec, config, KEYS)
