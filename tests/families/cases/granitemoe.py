"""Granite 3's mixtures of experts."""

from __future__ import annotations

from transformers import GraniteMoeConfig, GraniteMoeForCausalLM

from blocks import MoE
from tests.families.cases import granite, llama
from tests.families.reference import Case, Variant, change, rescale

BASE = granite.BASE | {"num_local_experts": 4}

VARIANTS = {
    "plain": Variant(),
    "eight experts": Variant({"num_local_experts": 8, "num_experts_per_tok": 3}),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = {name: it for name, it in granite.MUTATIONS.items() if name != "biases of the mlp"} | {
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=GraniteMoeConfig,
    model=GraniteMoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    fused=True,
)
