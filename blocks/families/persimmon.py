"""Persimmon: RoPE on half the channels, normed queries and keys, and a squared ReLU.

Elsen et al., "Releasing Persimmon-8B", 2023.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, QKNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families._decoder import END_KEYS, decoder, pre_norm
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 16_384)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    normed = (Spec(QKNorm, norm=norm),) if c.take("qk_layernorm", bool, True) else ()
    qk = (*normed, read_rope(c, context, rotated=0.5))
    attention = classic.attention(c, dim, names=classic.LLAMA, qk=qk)
    mlp = classic.mlp(c, names=classic.LLAMA, act="relu2")
    layer = pre_norm(norm, attention, mlp, dropout=c.take("hidden_dropout", float, 0.0))
    return decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    qk = at(s, "layers.0.attention").keywords["qk"]
    own = {"partial_rotary_factor": qk[-1].keywords["rotated"], "qk_layernorm": len(qk) > 1}
    return classic.write(s, classic.LLAMA) | write_rope(s) | own


def keys(s: Spec) -> Keys:
    layer = "model.layers.{i}."
    return Keys(
        *END_KEYS,
        *classic.megatron(layer, s, "self_attn"),
        (layer + "self_attn.q_layernorm.{w}", "layers.{i}.attention.qk.0.q.{w}"),
        (layer + "self_attn.k_layernorm.{w}", "layers.{i}.attention.qk.0.k.{w}"),
        ("model.final_layernorm.{w}", "norm.{w}"),
        ignore=(layer + "self_attn.rotary_emb.inv_freq",),
    )


FAMILY = Family("persimmon", ("PersimmonForCausalLM",), spec, config, keys)
