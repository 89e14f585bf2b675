"""Laguna."""

from __future__ import annotations

from transformers import LagunaConfig, LagunaForCausalLM

from blocks import (
    Causal,
    GatedMLP,
    GQAttention,
    OutputGate,
    QKNorm,
    RMSNorm,
    RoPE,
    SigmoidRouter,
    Window,
)
from tests.families.cases import dots1, hy_v3, mellum
from tests.families.cases.gemma3_text import ropes
from tests.families.reference import Case, Variant, change, decoder_mutations

BASE = {name: value for name, value in hy_v3.BASE.items() if name not in dots1.SIZES} | {
    "moe_intermediate_size": 12,
    "shared_expert_intermediate_size": 24,
    "moe_routed_scaling_factor": 1.7,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "rope_parameters": ropes(500.0, 80.0),
}
for gone in ("rope_theta", "num_shared_experts", "router_scaling_factor"):
    del BASE[gone]
HALF = ropes(500.0, 80.0)
HALF["full_attention"] = {**HALF["full_attention"], "partial_rotary_factor": 0.5}

VARIANTS = {
    "plain": Variant(),
    "gated by channel": Variant({"gating": "per-element"}),
    "more heads": Variant({"num_attention_heads_per_layer": [6, 4, 2]}),
    "half turned": Variant({"rope_parameters": HALF}),
    "as it comes": Variant({"rope_parameters": None}),
    "no windows": Variant({"layer_types": None}),
    "two dense layers": Variant({"mlp_layer_types": ["dense", "dense", "sparse"]}),
    "capped": Variant({"moe_router_logit_softcapping": 0.7}),
    "biases": Variant({"attention_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": ropes(500.0, 80.0, **mellum.YARN)}),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | hy_v3.MIXTURE
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "cap of the router": ("capped", change(SigmoidRouter, cap=0.9)),
        "no cap of the router": ("capped", change(SigmoidRouter, cap=None)),
        "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "share of one RoPE": ("half turned", change("layers.1.attention.qk.1", rotated=1.0)),
        "no gate": ("plain", change(GQAttention, gate=None)),
        "gate's activation": ("plain", change(OutputGate, act="sigmoid")),
        "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
        "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
        "without windows": ("plain", change(GQAttention, mask=Causal())),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "bias of the output": ("biases", change(GQAttention, out_bias=False)),
        "no yarn": ("yarn", change("layers.1.attention.qk.1", scaling=None)),
    }
)

CASE = Case(
    config=LagunaConfig,
    model=LagunaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset(
        """gating moe_intermediate_size num_attention_heads_per_layer num_experts
        shared_expert_intermediate_size""".split()
    ),
    fused=True,
    older=mellum.older,
)
