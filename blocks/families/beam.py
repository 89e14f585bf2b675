"""Beam: gated attention with windows in most layers, sums that count all branches alike, and the
experts of DeepSeek-V3.

Reflection AI, "Beam", 2026; the gate: Qiu et al., 2025, arXiv:2505.06708.
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._beam import read_attentions, wired, write_attentions
from blocks.families._dialects import read_or_null
from blocks.families._layers import write_first_dense
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_CAP = "final_logit_softcapping"


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), cast="after")
    router = experts.read_router(c, groups=8, kept_groups=4, scale=2.5)
    moe = experts.read_experts(c, router, 256, hidden=2560, shared=None)
    mlps = experts.read_mlps(c, moe, 3, hidden=20_480)
    layers = wired(norm, read_attentions(c, dim, context, norm), mlps)
    head = Spec(LMHead, cap=read_or_null(c, _CAP, 30.0, float))
    return common.decoder(c, layers, norm, dim, context, head=head)


def config(s: Spec) -> dict[str, Any]:
    mlps = experts.write_experts(s, experts="num_experts") | experts.write_router(s)
    own = {_CAP: at(s, "head").keywords["cap"]}
    return write_attentions(s) | mlps | write_first_dense(s, listed=True) | own


_GATE = "model.layers.{i}.self_attn.gate_"
KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.QK_NORM_KEYS,
    (_GATE + "proj.weight", "layers.{i}.attention.gate.weight"),
    (_GATE + "bias", "layers.{i}.attention.gate.head_bias"),
    *common.SANDWICH_KEYS,
    *experts.KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("beam", ("BeamForCausalLM",), spec, config, KEYS)
