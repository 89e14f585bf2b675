"""StableLM 2 and 3B: LLaMA with layer norms, RoPE on a quarter, and biases on q, k and v.

Bellagente et al., "Stable LM 2 1.6B technical report", 2024, arXiv:2402.17834.
"""

from __future__ import annotations

from typing import Any

from blocks import Chain, LayerNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("qk_layernorm", False)
    c.only("rotary_scaling_factor", 1.0)  # the first files say this
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5, aliases=("norm_eps",)))
    rope, bias = read_rope(c, context, rotated=0.25), c.take("use_qkv_bias", bool, False)
    attention = common.attention(c, dim, rope, bias=bias, out_bias=False, kv_heads=32)
    wiring = classic.parallel if c.take("use_parallel_residual", bool, False) else common.pre_norm
    dropout = c.take("hidden_dropout", float, 0.0)
    layer = wiring(norm, attention, common.gated_mlp(c), dropout=dropout)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, layer = at(s, "layers.0.attention").keywords, s.keywords["layers"][0]
    chained = layer.func is Chain
    residual = layer.keywords["steps"]["mlp"] if chained else layer
    own = {
        "hidden_dropout": residual.keywords["dropout"],
        "partial_rotary_factor": attention["qk"][0].keywords["rotated"],
        "use_parallel_residual": not chained,
        "use_qkv_bias": attention["bias"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, eps="layer_norm_eps") | mlp | own


def keys(s: Spec) -> Keys:
    beside = ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.norm_in.{w}")
    chained = s.keywords["layers"][0].func is Chain
    rules = (*common.DECODER_KEYS, *common.GATED_MLP_KEYS)
    return Keys(*rules, *(() if chained else (beside,)), ignore=common.ROTARY_TABLES)


FAMILY = Family("stablelm", ("StableLmForCausalLM",), spec, config, keys)
