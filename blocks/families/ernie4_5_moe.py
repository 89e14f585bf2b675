"""ERNIE 4.5's mixtures: its dense models with many small experts after the first layers, which a
correction helps to choose, and with what every token passes beside them.

Baidu ERNIE Team, "ERNIE 4.5 technical report", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, RMSNorm, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._layers import read_between, write_between
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys, Stack

_NAMES = {"experts": "moe_num_experts", "shared": "moe_num_shared_experts", "top_k": "moe_k"}


def spec(c: Config) -> Spec:
    c.only("moe_gate", "topk")
    c.only("moe_norm_min", 1e-12)
    for unused in ("moe_capacity", "moe_use_aux_free"):  # in training alone
        c.take(unused, Any, None)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("use_bias", bool, False)
    rope = read_rope(c, context, theta=5e5, pairing="adjacent")
    attention = common.attention(c, dim, rope, kv_heads=4, bias=bias)
    options = {"hidden": 1536, "top_k": 6, "shared": 2, "bias": bias}
    moe = experts.read_experts(c, Spec(SoftmaxRouter, correction=True), 64, **options)
    mlps = (moe, common.gated_mlp(c, bias=bias, hidden=12_288))
    layers = tuple(common.pre_norm(norm, attention, mlps[dense]) for dense in read_between(c))
    return common.decoder(c, layers, norm, dim, context, head=Spec(LMHead, bias=bias))


def config(s: Spec) -> dict[str, Any]:
    own = {"use_bias": at(s, "layers.0.attention").keywords["bias"], _NAMES["shared"]: 0}
    return common.write_decoder(s) | own | experts.write_experts(s, **_NAMES) | write_between(s)


# A model that predicts one token further lies in the same file.
_NEXT = ("emb_norm", "hidden_norm", "linear_proj")
_LATER = tuple(
    name.replace("layers", "mtp_block").replace("{w}", "weight")
    for name, _ in (*common.DECODER_KEYS, *common.GATED_MLP_KEYS)
)
_CORRECTION = ("layers.{i}.mlp.router.correction",)
KEYS = Keys(
    *common.DECODER_KEYS,
    Stack("model.layers.{i}.mlp.moe_statics.e_score_correction_bias", _CORRECTION),
    Stack("model.layers.{i}.mlp.gate.moe_statics.e_score_correction_bias", _CORRECTION),
    *experts.KEYS,
    ignore=(*common.ROTARY_TABLES, *_LATER, *(f"model.mtp_{name}.{{i}}.weight" for name in _NEXT)),
)

FAMILY = Family("ernie4_5_moe", ("Ernie4_5_MoeForCausalLM",), spec, config, KEYS)
