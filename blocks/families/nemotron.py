"""Nemotron-4 and Minitron: layer norms stored as w − 1, half-turned heads, and squared relu.

Parmar et al., "Nemotron-4 15B", 2024, arXiv:2402.16819; Muralidharan et al., "Minitron", 2024,
arXiv:2407.14679.
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
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(LayerNorm, eps=c.take("norm_eps", float, 1e-5), offset=1.0)
    rope, bias = read_rope(c, context, rotated=0.5), c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, rope, bias=bias)
    sizes = {"hidden": c.take("intermediate_size", int), "bias": c.take("mlp_bias", bool, False)}
    mlp = Spec(MLP, act=read_activation(c, default="relu2"), **sizes)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, mlp = at(s, "layers.0.attention").keywords, at(s, "layers.0.mlp")
    own = {
        "attention_bias": attention["bias"],
        "mlp_bias": mlp.keywords["bias"],
        "partial_rotary_factor": attention["qk"][0].keywords["rotated"],
    }
    return common.write_decoder(s, eps="norm_eps") | common.write_mlp(mlp) | own


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("nemotron", ("NemotronForCausalLM",), spec, config, KEYS)
