"""Jais 2: LLaMA with layer norms, biases everywhere, and a plain MLP with squared relu.

Inception, "Jais 2", 2025; Sengupta et al., "Jais", 2023, arXiv:2308.16149.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    bias = c.take("attention_bias", bool, True)
    attention = common.attention(c, dim, read_rope(c, context), bias=bias)
    sizes = {"hidden": c.take("intermediate_size", int), "bias": c.take("mlp_bias", bool, True)}
    mlp = Spec(MLP, act=read_activation(c, default="relu2"), **sizes)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    return common.write_decoder(s, eps="layer_norm_eps") | common.write_mlp(mlp) | biases


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("jais2", ("Jais2ForCausalLM",), spec, config, KEYS)
