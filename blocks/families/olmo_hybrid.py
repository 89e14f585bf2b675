"""OLMo Hybrid: three layers of a gated delta net, with norms before branches, to one of OLMo 3's
attention, with norms of what they find, in published models without positions.

Allen Institute for AI, "Olmo Hybrid", 2026; Yang et al., 2024, arXiv:2412.06464.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _olmo_hybrid as own
from blocks.families._delta import read_places
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 65_536)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), cast="after")
    attention, mlp = own.read_attention(c, dim, context, norm), common.gated_mlp(c, hidden=11_008)
    mixer = own.read_mixer(c, dim, attention.keywords["heads"])
    kinds = {
        "mixer": common.pre_norm(norm, mixer, mlp, "mixer"),
        "attention": common.layer(attention, mlp, norm_out=norm),
    }
    layers = tuple(kinds[kind] for kind in read_places(c, 4))
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return own.write_layers(s) | common.write_mlp(at(s, "layers.0.mlp"))


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *own.MIXER_KEYS,
    *common.OUT_NORM_KEYS,
    *common.QK_NORM_KEYS,
    *common.GATED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("olmo_hybrid", ("OlmoHybridForCausalLM",), spec, config, KEYS)
