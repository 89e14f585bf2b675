"""Helium."""

from __future__ import annotations

from transformers import HeliumConfig, HeliumForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=HeliumConfig,
    model=HeliumForCausalLM,
    base=llama.BASE | {"head_dim": 8},
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
