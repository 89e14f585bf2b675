"""Mellum 2."""

from __future__ import annotations

from typing import Any

from transformers import MellumConfig, MellumForCausalLM

from blocks import Causal, GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SoftmaxRouter, Window
from tests.families.cases import llama, qwen3_moe
from tests.families.cases.gemma3_text import ropes
from tests.families.reference import Case, Variant, change, decoder_mutations

BASE = {name: value for name, value in qwen3_moe.BASE.items() if name != "rope_theta"} | {
    "norm_topk_prob": True,
    "num_mtp_layers": 1,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": ropes(500.0, 80.0),
}
YARN = {name: value for name, value in llama.YARN.items() if name != "rope_theta"}

VARIANTS = {
    "plain": Variant(),
    "not renormalised": Variant({"norm_topk_prob": False}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "first layer dense": Variant({"mlp_layer_types": ["dense", "sparse"]}),
    "no window": Variant({"layer_types": None}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": ropes(500.0, 80.0, **YARN)}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "no yarn": ("yarn", change("layers.1.attention.qk.1", scaling=None)),
}


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """There was no Mellum 2 before transformers 5."""
    return dict(data)


CASE = Case(
    config=MellumConfig,
    model=MellumForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=qwen3_moe.SIZES | {"mlp_layer_types"},
    fused=True,
    fields=qwen3_moe.CASE.fields,
    older=older,
)
