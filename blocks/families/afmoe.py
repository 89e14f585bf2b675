"""AFMoE, Arcee's Trinity: gated attention, with windows in most layers and no positions in the
others, norms around every branch, and the experts of DeepSeek-V3.

Arcee AI, "Trinity", 2025; the gate: Qiu et al., 2025, arXiv:2505.06708.
"""

from __future__ import annotations

from typing import Any

from blocks import OutputGate, RMSNorm, SigmoidRouter, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families import _layers as kinds
from blocks.families._exaone import turned
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_FIRST, _SHARED = "num_dense_layers", "num_shared_experts"


def spec(c: Config) -> Spec:
    experts.read_early(c)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 16_384)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5), cast="after")
    rope, window = read_rope(c, context), c.take("sliding_window", int, 1024)
    options = {"bias": c.take("attention_bias", bool, False), "gate": OutputGate, "head_dim": 128}
    router = Spec(SigmoidRouter, scale=c.take("route_scale", float, 1.0))
    moe = experts.read_experts(c, router, 64, hidden=1408, top_k=6, shared=2)
    mlps, first = (moe, common.gated_mlp(c, hidden=6144)), c.take(_FIRST, int, 1, low=0)
    slides = kinds.read_slides(c, kinds.every(c, "global_attn_every_n_layers", 4))
    layers = []
    for i, (mask, qk) in enumerate(turned(c, norm, rope, slides, window)):
        attention = common.attention(c, dim, *qk, mask=mask, **options)
        layers.append(common.layer(attention, mlps[i < first], norm_in=norm, norm_out=norm))
    scale = dim**0.5 if c.take("mup_enabled", bool, False) else 1.0
    embedding = Spec(TokenEmbedding, scale=scale)
    return common.decoder(c, tuple(layers), norm, dim, context, embedding=embedding)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mup_enabled": at(s, "embedding").keywords["scale"] != 1.0,
        "route_scale": at(kinds.moe_of(s), "router").keywords["scale"],
    }
    mlps = {_SHARED: 0} | kinds.write_first_dense(s, name=_FIRST)
    mlps |= experts.write_experts(s, experts="num_experts", shared=_SHARED)
    return common.write_decoder(s, head_dim=True) | kinds.write_slides(s) | own | mlps


_ENDS = (*common.END_KEYS, *common.QKV_KEYS, *common.QK_NORM_KEYS, *common.GATED_SANDWICH_KEYS)
KEYS = Keys(*_ENDS, *experts.EARLY_KEYS, *experts.KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("afmoe", ("AfmoeForCausalLM",), spec, config, KEYS)
