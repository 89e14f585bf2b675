"""Aria's language model."""

from __future__ import annotations

from transformers import AriaTextConfig, AriaTextForCausalLM

from blocks import GatedMLP, GQAttention, MoE, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 2}

VARIANTS = {
    "plain": Variant(),
    "another activation of what all pass": Variant({"hidden_act": "gelu"}),
    "eight experts": Variant({"moe_num_experts": 8, "moe_topk": 3, "moe_num_shared_experts": 1}),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "activation of what all pass": ("plain", change("layers.*.mlp.shared", act="gelu")),
    "activation of experts": (
        "another activation of what all pass",
        change("layers.*.mlp.expert", act="gelu"),
    ),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of what all pass": ("biases", change("layers.*.mlp.shared", bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=AriaTextConfig,
    model=AriaTextForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_num_experts", "moe_num_shared_experts"}),
    fused=True,
)
