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

NAMES = {name: classic.LLAMA[name] for name in ("attention_dropout", "dim", "dropout")}
NAMES |= {name: classic.GPT[name] for name in ("depth", "eps", "heads")}
_NORMED = "apply_residual_connection_post_layernorm"
# How it was trained, and in which order or precision sums are taken.
_HARMLESS = "seq_length slow_but_exact attention_softmax_in_fp32 masked_softmax_fusion offset_alibi"
_HARMLESS += " bias_dropout_fusion skip_bias_add skip_bias_add_qkv n_inner"


def spec(c: Config) -> Spec:
    for name in _HARMLESS.split():
        c.take(name, int | bool, None, low=0)
    wiring = classic.after_norms if c.take(_NORMED, bool, False) else pre_norm
    dim = c.take("hidden_size", int, aliases=("n_embed",))
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    alibi, other = (Spec(ALiBi),), ("num_attention_heads",)
    attention = classic.attention(c, dim, names=NAMES, aliases=other, scores=alibi)
    mlp, dropout = Spec(MLP, hidden=4 * dim, act="gelu_tanh"), c.take("hidden_dropout", float, 0.0)
    layer = wiring(norm, attention, mlp, dropout=dropout)
    layers = (layer,) * count(c, "n_layer", aliases=("num_hidden_layers",))
    return decoder(c, layers, norm, dim, None, stem=norm)


def config(s: Spec) -> dict[str, Any]:
    normed = "attention_norm" in s.keywords["layers"][0].keywords["steps"]
    return classic.write(s, NAMES) | {_NORMED: normed}


def keys(s: Spec) -> Keys:
    return Keys(
        ("transformer.word_embeddings.weight", "embedding.weight"),
        ("lm_head.weight", "head.weight"),
        ("transformer.word_embeddings_layernorm.{w}", "stem.{w}"),
        *classic.megatron("transformer.h.{i}.", s),
        *classic.after_norm_keys("transformer.h.{i}."),
        ("transformer.ln_f.{w}", "norm.{w}"),
        optional="transformer.",
    )


FAMILY = Family("bloom", ("BloomForCausalLM",), spec, config, keys)
