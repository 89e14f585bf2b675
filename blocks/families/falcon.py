"""Falcon: multi-query or grouped attention beside the MLP, with RoPE or ALiBi.

Almazrouei et al., 2023, arXiv:2311.16867; Penedo et al., 2023, arXiv:2306.01116.
"""

from __future__ import annotations

from typing import Any

from blocks import ALiBi, LayerNorm, Spec, at, replace
from blocks.families import _classic as classic
from blocks.families._decoder import decoder
from blocks.families._dialects import count
from blocks.families._falcon import norm_keys, read_arrangement, write_arrangement
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = classic.LLAMA | {"eps": "layer_norm_epsilon", "hidden": "ffn_hidden_size"}
NAMES |= {"activation": "activation"}


def spec(c: Config) -> Spec:
    c.only("apply_residual_connection_post_layernorm", False)
    dim, bias = c.take("hidden_size", int, aliases=("n_embed",)), c.take("bias", bool, False)
    context, (wiring, kv_heads) = c.take("max_position_embeddings", int, 2048), read_arrangement(c)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    options = {"aliases": ("n_head",), "kv_heads": kv_heads, "bias": bias}
    attention = classic.attention(c, dim, names=NAMES, qk=(read_rope(c, context),), **options)
    if c.take("alibi", bool, False):  # it is added before scores are scaled
        alibi = Spec(ALiBi, scale=attention.keywords["head_dim"] ** -0.5)
        attention = replace(attention, qk=(), scores=(alibi,))
    mlp = classic.mlp(c, 4 * dim, names=NAMES, act="gelu", bias=bias)
    layer = wiring(norm, attention, mlp, dropout=c.take("hidden_dropout", float, 0.0))
    depth = count(c, "num_hidden_layers", aliases=("n_layer",))
    return decoder(c, (layer,) * depth, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {"alibi": bool(attention["scores"]), "bias": attention["bias"]}
    return classic.write(s, NAMES) | own | write_arrangement(s) | write_rope(s)


def keys(s: Spec) -> Keys:
    layer = "transformer.h.{i}."
    return Keys(
        ("transformer.word_embeddings.weight", "embedding.weight"),
        ("lm_head.weight", "head.weight"),
        *norm_keys(s, layer),
        *classic.megatron(layer, s),
        ("transformer.ln_f.{w}", "norm.{w}"),
        ignore=(layer + "self_attention.rotary_emb.inv_freq",),
        optional="transformer.",
    )


FAMILY = Family("falcon", ("FalconForCausalLM", "RWForCausalLM"), spec, config, keys)
