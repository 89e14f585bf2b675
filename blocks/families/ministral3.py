"""Ministral 3: Mistral whose queries are scaled up beyond the length of training.

Mistral AI, "Ministral 3", 2026, arXiv:2601.08584.
"""

from __future__ import annotations

from typing import Any

from blocks import QueryScale, RMSNorm, Spec, YarnScaling, at
from blocks.families import _decoder as common
from blocks.families import mistral
from blocks.families._dialects import read_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family

_STRETCHED, _GROWTH = YarnScaling(16.0, 16_384, magnitude=1.0), "llama_4_scaling_beta"
_TRAINED = "original_max_position_embeddings"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 262_144)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    options = {"mask": read_window(c), "kv_heads": 8, "head_dim": 128}
    attention = common.attention(c, dim, *_read_qk(c, context), **options)
    layer = common.pre_norm(norm, attention, common.gated_mlp(c))
    return common.decoder(c, layer, norm, dim, context)


def _read_qk(c: Config, context: int) -> tuple[Spec, ...]:
    inner = c.inner("rope_parameters") or c.inner("rope_scaling")
    if inner is None:
        rope = read_rope(c, context, theta=1e6, scaling=_STRETCHED)
        return rope, Spec(QueryScale, growth=0.1, trained=_STRETCHED.trained)
    inner.only("max_position_embeddings", context)
    rope, growth = read_rope(c, context), inner.take(_GROWTH, float, 0.0)
    if growth < 0:
        raise inner.error(_GROWTH, f"must not be below zero, but is {growth}")
    trained = inner.take(_TRAINED, int, context)
    return (rope, Spec(QueryScale, growth=growth, trained=trained)) if growth else (rope,)


def config(s: Spec) -> dict[str, Any]:
    scale = at(s, "layers.0.attention").keywords["qk"][1:]
    growth = scale[0].keywords["growth"] if scale else 0.0
    trained = scale[0].keywords["trained"] if scale else s.keywords["context"]
    fields = common.write_decoder(s, head_dim=True) | common.write_mask(s)
    rope = {_TRAINED: trained} | (fields["rope_scaling"] or {"rope_type": "default"})
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return fields | mlp | {"rope_scaling": rope | {_GROWTH: growth}}


FAMILY = Family("ministral3", ("Ministral3ForCausalLM",), spec, config, mistral.KEYS)
