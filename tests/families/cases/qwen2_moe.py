"""Qwen1.5-MoE and Qwen2-MoE."""

from __future__ import annotations

from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

from blocks import Causal, GatedMLP, GQAttention, MoE, RMSNorm, SoftmaxRouter, Window
from tests.families.cases import llama, qwen3_moe
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in qwen3_moe.BASE.items() if name != "head_dim"} | {
    "shared_expert_intermediate_size": 40,
    "max_window_layers": 1,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 7}

VARIANTS = {
    "plain": Variant(),
    "renormalised": Variant({"norm_topk_prob": True}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "first layer dense": Variant({"mlp_only_layers": [0]}),
    "every second layer": Variant({"num_hidden_layers": 3, "decoder_sparse_step": 2}),
    "no biases": Variant({"qkv_bias": False}),
    "window": Variant(WINDOW),
    "two windows": Variant(WINDOW | {"num_hidden_layers": 3, "max_window_layers": 3}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "weights renormalised": ("plain", change(SoftmaxRouter, renormalize=True)),
    "weights not renormalised": ("renormalised", change(SoftmaxRouter, renormalize=False)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no gate of the shared expert": ("plain", change(MoE, shared_gate=False)),
    "no shared expert": ("plain", change(MoE, shared=None, shared_gate=False)),
    "window + 1": ("window", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("window", change("layers.0.attention", mask=Window(6))),
    "no windows": ("two windows", change(GQAttention, mask=Causal())),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=Qwen2MoeConfig,
    model=Qwen2MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=qwen3_moe.SIZES | {"shared_expert_intermediate_size"},
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
)
