"""Hunyuan 3: Qwen3's attention, and the experts of DeepSeek-V3.

Tencent, "Hy3 preview", 2026; the experts: DeepSeek-AI, 2024, arXiv:2412.19437.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, SigmoidRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._layers import moe_of, write_first_dense
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_FIXED = ("moe_router_enable_expert_bias", "moe_router_use_sigmoid", "qk_norm", "route_norm")
_HOW = [f"enable_{it}" for it in ("attention_fp32_softmax", "lm_head_fp32", "moe_fp32_combine")]


def spec(c: Config) -> Spec:
    said = dict.fromkeys(_FIXED, (True,)) | dict.fromkeys(["use_grouped_mm", *_HOW], (True, False))
    for name, allowed in said.items():
        c.only(name, *allowed)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    qk = (Spec(QKNorm, norm=norm), read_rope(c, context, theta=11_158_840.0))
    options = {"kv_heads": 8, "head_dim": 128, "bias": c.take("attention_bias", bool, False)}
    attention, bias = common.attention(c, dim, *qk, **options), c.take("mlp_bias", bool, False)
    router = Spec(SigmoidRouter, scale=c.take("router_scaling_factor", float, 2.826))
    moe = experts.read_experts(c, router, 192, hidden=1536, bias=bias)
    c.only("expert_hidden_dim", moe.keywords["expert"].keywords["hidden"])
    mlps = experts.read_mlps(c, moe, 1, hidden=13_312, bias=bias)
    layers = common.pre_norms(norm, attention, mlps)
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": at(moe_of(s), "shared").keywords["bias"],
        "router_scaling_factor": at(moe_of(s), "router").keywords["scale"],
    }
    mlps = experts.write_experts(s, experts="num_experts", shared="num_shared_experts")
    return common.write_decoder(s, head_dim=True) | mlps | write_first_dense(s, listed=True) | own


def keys(s: Spec) -> Keys:
    early = (*experts.EARLY_KEYS, *common.gated_keys("shared_mlp.", "shared."))
    parts = (*common.DECODER_KEYS, *common.QK_NORM_KEYS, *early, *experts.KEYS)
    return Keys(*parts, ignore=common.ROTARY_TABLES, appended=experts.next_model(s))


FAMILY = Family("hy_v3", ("HYV3ForCausalLM",), spec, config, keys)
