"""Command A+ and North."""

from __future__ import annotations

from transformers import Cohere2MoeConfig, Cohere2MoeForCausalLM

from blocks import (
    Causal,
    GatedMLP,
    GQAttention,
    LayerNorm,
    LMHead,
    MoE,
    RMSNorm,
    SigmoidRouter,
    Spec,
    TopKRouter,
    Window,
)
from tests.families.cases import cohere, cohere2, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = cohere.BASE | {
    "num_hidden_layers": 3,
    "head_dim": 8,
    "sliding_window": 7,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    "mlp_layer_types": ["dense", "sparse", "sparse"],
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_shared_experts": 2,
    "prefix_dense_intermediate_size": 28,
}
STILL = {"first_k_dense_replace": 2, "prefix_dense_sliding_window_pattern": 2}
LISTED = {"layer_types": None, "mlp_layer_types": None, "num_hidden_layers": 5}

VARIANTS = {
    "plain": Variant(),
    "experts in every layer": Variant(LISTED),
    "two dense layers": Variant(LISTED | {"first_k_dense_replace": 2}),
    "still": Variant(LISTED | STILL),
    "none shared": Variant({"num_shared_experts": 0}),
    "sum": Variant({"shared_expert_combination_strategy": "sum"}),
    "sigmoid": Variant({"expert_selection_fn": "sigmoid"}),
    "sigmoid as it is": Variant({"expert_selection_fn": "sigmoid", "norm_topk_prob": False}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "rms": Variant({"rms_norm_eps": 0.05}),
    "louder": Variant({"logit_scale": 1.5}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "rope in all": ("plain", change(GQAttention, qk=(cohere2.ROPE,))),
    "no rope in the dense": ("plain", change("layers.0.attention", qk=())),
    "rope in the dense": ("still", change("layers.1.attention", qk=(cohere2.ROPE,))),
    "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "sum": ("plain", change(MoE, scale=1.0)),
    "average": ("sum", change(MoE, scale=0.5)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "sigmoid": ("plain", change(MoE, router=Spec(SigmoidRouter, correction=False))),
    "softmax": ("sigmoid", change(MoE, router=Spec(TopKRouter))),
    "weights not renormalised": ("sigmoid", change(SigmoidRouter, renormalize=False)),
    "eps of rms": ("rms", change(RMSNorm, eps=0.06)),
    "scale of logits": ("louder", change(LMHead, scale=1.4)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

SIZES = frozenset(
    {"mlp_layer_types", "num_experts", "num_shared_experts", "prefix_dense_intermediate_size"}
)

CASE = Case(
    config=Cohere2MoeConfig,
    model=Cohere2MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=SIZES,
    fused=True,
)
