"""GPT-NeoX-Japanese: attention, then the MLP, and a bias in the last layer's attention alone.

ABEJA, "GPT-NeoX-Japanese-2.7B", 2022; Black et al., 2022, arXiv:2204.06745.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, Spec, at, replace
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count, read_activation
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_TIMES = "intermediate_multiple_size"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    share = c.take("rotary_pct", float, 1.0)
    c.assume(rope_theta=c.take("rotary_emb_base", float, 1e4))
    options = {"qk": (read_rope(c, context, rotated=share),), "bias": False}
    attention = classic.attention(c, dim, names=classic.LLAMA, rate=0.1, **options)
    act, hidden = read_activation(c, default="gelu"), dim * c.take(_TIMES, int, 4)
    mlp, dropout = Spec(MLP, hidden=hidden, act=act, bias=False), c.take("hidden_dropout", float, 0)
    each = (replace(attention, out_bias=bias) for bias in (False, True))
    layer, last = (pre_norm(norm, one, mlp, dropout=dropout) for one in each)
    layers = (*(layer,) * (count(c, "num_hidden_layers") - 1), last)
    return decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    rope, hidden = write_rope(s), at(s, "layers.0.mlp").keywords["hidden"]
    own = {
        _TIMES: hidden // s.keywords["dim"],
        "rotary_emb_base": rope.pop("rope_theta"),
        "rotary_pct": rope.pop("partial_rotary_factor", 1.0),
    }
    return classic.write(s, classic.LLAMA, without="hidden") | own | rope


def keys(s: Spec) -> Keys:
    layer = "gpt_neox_japanese.layers.{i}."
    return Keys(
        ("gpt_neox_japanese.embed_in.weight", "embedding.weight"),
        ("embed_out.weight", "head.weight"),
        (layer + "attention.dense_bias", "layers.{i}.attention.out.bias"),
        *classic.megatron(layer, s, "attention"),
        ("gpt_neox_japanese.final_layer_norm.{w}", "norm.{w}"),
        ignore=[layer + "attention.rotary_emb.inv_freq"],
        optional="gpt_neox_japanese.",
    )


FAMILY = Family("gpt_neox_japanese", ("GPTNeoXJapaneseForCausalLM",), spec, config, keys)
