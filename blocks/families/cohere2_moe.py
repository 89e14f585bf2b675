"""Command A+ and North: Command A with experts after the first layers, beside which stand others
that every token passes.

Cohere, "Command A+", 2026; Cohere, "Command A", 2025, arXiv:2504.00698.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, RMSNorm, Spec, at
from blocks.families import _cohere as kinds
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks
from blocks.families._rope import read_rope
from blocks.families.cohere import beside
from blocks.families.cohere2 import FIXED
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    for name, value in FIXED.items():
        c.only(name, value)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5), bias=False)
    eps = c.take("rms_norm_eps", float, None)
    norm = norm if eps is None else Spec(RMSNorm, eps=eps)
    rope, bias = read_rope(c, context, pairing="adjacent"), c.take("attention_bias", bool, False)
    slides, dense, turns = kinds.read_kinds(c)
    mlps, options = kinds.read_mixture(c), {"bias": bias, "head_dim": 128}
    found, size = [], read_or_null(c, "sliding_window", 4096)
    for i, mask in enumerate(masks(c, slides, size)):
        qk = (rope,) if turns[i] else ()
        attention = common.attention(c, dim, *qk, mask=mask, **options)
        found.append(beside(norm, attention, mlps[dense[i]]))
    head = Spec(LMHead, scale=c.take("logit_scale", float, 0.0625))
    return common.decoder(c, tuple(found), norm, dim, context, head=head)


def config(s: Spec) -> dict[str, Any]:
    eps = "rms_norm_eps" if at(s, "norm").func is RMSNorm else "layer_norm_eps"
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "logit_scale": at(s, "head").keywords["scale"],
    }
    fields = common.write_decoder(s, eps=eps, head_dim=True, rope=kinds.write_newer_rope(s))
    return fields | kinds.write_kinds(s) | kinds.write_mixture(s) | own


_PARTS = (*common.QKV_KEYS, *common.PARALLEL_KEYS, *experts.KEYS)
KEYS = Keys(*common.END_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("cohere2_moe", ("Cohere2MoeForCausalLM",), spec, config, KEYS)
