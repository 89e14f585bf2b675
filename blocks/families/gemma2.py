"""Gemma 2: norms on both sides of each branch, soft caps, and a window in every other layer.

Gemma Team, "Gemma 2", 2024, arXiv:2408.00118.
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, RMSNorm, SoftCap, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("use_bidirectional_attention", None, False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), offset=1.0, cast="after")
    scale = c.take("query_pre_attn_scalar", int, 256) ** -0.5
    cap = read_or_null(c, "attn_logit_softcapping", 50.0, float)
    last_cap = read_or_null(c, "final_logit_softcapping", 30.0, float)
    scores = () if cap is None else (Spec(SoftCap, cap=cap),)
    options = {"scale": scale, "scores": scores, "bias": c.take("attention_bias", bool, False)}
    sizes, rope = {"kv_heads": 4, "head_dim": 256}, read_rope(c, context)
    act = read_activation(c, "hidden_activation", "gelu_pytorch_tanh", aliases=("hidden_act",))
    mlp, around = common.gated_mlp(c, act=act), {"norm_in": norm, "norm_out": norm}
    window = read_or_null(c, "sliding_window", 4096)
    layers = tuple(
        common.layer(common.attention(c, dim, rope, mask=mask, **sizes, **options), mlp, **around)
        for mask in masks(c, read_slides(c, lambda i: i % 2 == 0), window)
    )
    embedding, head = Spec(TokenEmbedding, scale=dim**0.5), Spec(LMHead, cap=last_cap)
    return common.decoder(c, layers, norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    scores = attention["scores"]
    own = {
        "attention_bias": attention["bias"],
        "attn_logit_softcapping": scores[0].keywords["cap"] if scores else None,
        "final_logit_softcapping": at(s, "head").keywords["cap"],
        "query_pre_attn_scalar": round(attention["scale"] ** -2),
    }
    names = {"act": "hidden_activation", "tanh": "gelu_pytorch_tanh"}
    mlp = common.write_mlp(at(s, "layers.0.mlp"), **names)
    return common.write_decoder(s, head_dim=True) | mlp | write_slides(s) | own


_ENDS = (*common.END_KEYS, *common.QKV_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*_ENDS, *common.SANDWICH_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("gemma2", ("Gemma2ForCausalLM",), spec, config, KEYS)
