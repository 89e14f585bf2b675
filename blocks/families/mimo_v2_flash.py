"""MiMo-V2-Flash: windows with sinks in most layers, and the experts of DeepSeek-V3 without one
that all tokens pass.

LLM-Core Xiaomi, "MiMo-V2-Flash technical report", 2026, arXiv:2601.02780.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._layers import write_first_dense
from blocks.families._mimo import read_attentions, write_attentions
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5, aliases=("layernorm_epsilon",)))
    moe = experts.read_experts(c, experts.read_router(c), 256, hidden=2048, shared=None)
    mlps = experts.read_mlps(c, moe, 1, hidden=16_384, older="moe_layer_freq")
    layers = tuple(
        common.pre_norm(norm, attention, mlp)
        for attention, mlp in zip(read_attentions(c, dim, context), mlps, strict=True)
    )
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    moe = experts.write_experts(s) | experts.write_router(s)
    return write_attentions(s) | moe | write_first_dense(s, listed=True)


KEYS = Keys(
    *common.DECODER_KEYS,
    ("model.layers.{i}.self_attn.attention_sink_bias", "layers.{i}.attention.sinks"),
    ("model.layers.{i}.self_attn.sinks", "layers.{i}.attention.sinks"),
    *experts.KEYS,
    ignore=common.ROTARY_TABLES,
    apart=("model.mtp.",),
)

FAMILY = Family("mimo_v2_flash", ("MiMoV2FlashForCausalLM",), spec, config, KEYS)
