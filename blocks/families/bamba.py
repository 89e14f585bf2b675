"""Bamba: layers of Mamba-2, a few of attention among them, and an MLP in all.

Ganti et al., "Bamba: inference-efficient hybrid Mamba2 model", IBM, 2024.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _jamba as jamba
from blocks.families import _mamba2 as own
from blocks.families._dialects import read_or_null
from blocks.families._hybrids import build_layers
from blocks.families._layers import attentions
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_WHICH = "attn_layer_indices"


def spec(c: Config) -> Spec:
    read_or_null(c, "num_logits_to_keep", 1)  # of a prompt, by the reference's generate
    c.take("use_mamba_kernels", bool, True)
    c.take("attn_rotary_emb", int, None)  # half of a head, as the reference turns it anyway
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 262_144)
    eps, bias = c.take("rms_norm_eps", float, 1e-5), c.take("attention_bias", bool, False)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False), act=own.read_silu(c))
    c.assume(rope_theta=10_000.0)  # which not all of its files say
    rope, limits = read_rope(c, context, rotated=0.5), own.read_limits(c)
    firsts = {
        "attention": common.attention(c, dim, rope, bias=bias, kv_heads=8),
        "mixer": own.read_mixer(c, dim, own.HYBRID, eps, limits=limits),
    }
    norm, kinds = Spec(RMSNorm, eps=eps), own.read_places(c, _WHICH)
    layers = build_layers(norm, firsts, [mlp] * len(kinds), kinds)
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": attentions(s)[0].keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    places = own.write_places(s, _WHICH)
    mixer = own.write_mixer(s, own.HYBRID) | own.write_limits(s)
    return common.write_decoder(s) | common.write_mlp(mlp) | biases | places | mixer


KEYS = Keys(*jamba.RULES, *own.mixer_keys("model.layers.{i}.mamba"), ignore=common.ROTARY_TABLES)

FAMILY = Family(
    "bamba", ("BambaForCausalLM",), spec, config, KEYS, shortest={"attn_layer_indices": [0]}
)
