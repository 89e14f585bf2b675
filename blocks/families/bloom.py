"""BLOOM: pre-norm layers with ALiBi, and a norm after the embedding.

BigScience Workshop, 2022, arXiv:2211.05100.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, ALiBi, LayerNorm, Spec
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = {
    "attention_dropout": "attention_dropout",
    "depth": "n_layer",
    "dim": "hidden_size",
    "dropout": "hidden_dropout",
    "eps": "layer_norm_epsilon",
    "heads": "n_head",
}
# How it was trained, and in which order or precision sums are taken.
_HARMLESS = "seq_length slow_but_exact attention_softmax_in_fp32 masked_softmax_fusion offset_alibi"
_HARMLESS += " bias_dropout_fusion skip_bias_add skip_bias_add_qkv n_inner"


def spec(c: Config) -> Spec:
    for name in _HARMLESS.split():
        c.take(name, int | bool, None, low=0)
    c.only("apply_residual_connection_post_layernorm", False)
    dim = c.take("hidden_size", int, aliases=("n_embed",))
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    alibi, other = (Spec(ALiBi),), ("num_attention_heads",)
    attention = classic.attention(c, dim, names=NAMES, aliases=other, scores=alibi)
    mlp, dropout = Spec(MLP, hidden=4 * dim, act="gelu_tanh"), c.take("hidden_dropout", float, 0.0)
    layer = pre_norm(norm, attention, mlp, dropout=dropout)
    layers = (layer,) * count(c, "n_layer", aliases=("num_hidden_layers",))
    return decoder(c, layers, norm, dim, None, stem=norm)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES)


def keys(s: Spec) -> Keys:
    return Keys(
        ("transformer.word_embeddings.weight", "embedding.weight"),
        ("lm_head.weight", "head.weight"),
        ("transformer.word_embeddings_layernorm.{w}", "stem.{w}"),
        *classic.megatron("transformer.h.{i}.", s),
        ("transformer.ln_f.{w}", "norm.{w}"),
        optional="transformer.",
    )


FAMILY = Family("bloom", ("BloomForCausalLM",), spec, config, keys)
