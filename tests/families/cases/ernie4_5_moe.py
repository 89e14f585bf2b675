"""ERNIE 4.5's mixtures."""

from __future__ import annotations

from transformers import Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM

from blocks import GatedMLP, LMHead, MoE, RMSNorm, SoftmaxRouter
from tests.families.cases import ernie4_5, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "moe_num_experts": 4,
    "moe_k": 2,
    "moe_intermediate_size": 24,
    "moe_num_shared_experts": 2,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"use_bias": True}),
    "eight experts": Variant({"moe_num_experts": 8, "moe_k": 3}),
    "none shared": Variant({"moe_num_shared_experts": 0}),
    "experts in every layer": Variant({"moe_layer_start_index": 0}),
    "dense in the end": Variant({"moe_layer_end_index": 1}),
    "every second layer": Variant({"num_hidden_layers": 4, "moe_layer_interval": 2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no correction": ("plain", change(SoftmaxRouter, correction=False)),
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "scale of weights": ("plain", change(SoftmaxRouter, scale=1.1)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "biases": ("biases", ernie4_5.no_bias),
    "bias of logits": ("biases", change(LMHead, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

SIZES = frozenset(
    {
        "intermediate_size",
        "moe_intermediate_size",
        "moe_layer_end_index",
        "moe_layer_interval",
        "moe_layer_start_index",
        "moe_num_experts",
    }
)

CASE = Case(
    config=Ernie4_5_MoeConfig,
    model=Ernie4_5_MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=SIZES,
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
    tied=True,
)
