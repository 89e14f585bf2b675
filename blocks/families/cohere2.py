"""Command R7B and A: Command R with windows, and without positions in the layers that have none.

Cohere, "Command A", 2025, arXiv:2504.00698.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import every, masks, read_slides, write_slides
from blocks.families._rope import read_rope
from blocks.families.cohere import beside
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

# What published files say of the architecture, and what alone they may say.
FIXED = {
    "order_of_interleaved_layers": "local_attn_first",
    "position_embedding_type": "rope_gptj",
    "rotary_pct": 1.0,
    "use_embedding_sharing": True,
    "use_gated_activation": True,
    "use_parallel_block": True,
    "use_parallel_embedding": False,
    "use_qk_norm": False,
}


def spec(c: Config) -> Spec:
    for name, value in FIXED.items():
        c.only(name, value)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5), bias=False)
    rope, bias = read_rope(c, context, pairing="adjacent"), c.take("attention_bias", bool, False)
    slides = read_slides(c, every(c, "sliding_window_pattern", 4, aliases=("layer_switch",)))
    window, mlp = read_or_null(c, "sliding_window", 4096), common.gated_mlp(c)
    layers = []
    for mask, slide in zip(masks(c, slides, window), slides, strict=True):
        attention = common.attention(c, dim, *([rope] if slide else []), bias=bias, mask=mask)
        layers.append(beside(norm, attention, mlp))
    head = Spec(LMHead, scale=c.take("logit_scale", float, 0.0625))
    return common.decoder(c, tuple(layers), norm, dim, context, head=head)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "logit_scale": at(s, "head").keywords["scale"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, eps="layer_norm_eps") | mlp | write_slides(s) | own


_PARTS = (*common.QKV_KEYS, *common.PARALLEL_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*common.END_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)
FAMILY = Family("cohere2", ("Cohere2ForCausalLM",), spec, config, KEYS)
