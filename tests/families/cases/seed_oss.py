"""Seed-OSS."""

from __future__ import annotations

from transformers import SeedOssConfig, SeedOssForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_out_bias": True, "mlp_bias": True}),
    "no biases": Variant({"attention_bias": False}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "dropout": Variant({"attention_dropout": 0.0, "residual_dropout": 0.2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=SeedOssConfig,
    model=SeedOssForCausalLM,
    base=llama.BASE | {"head_dim": 8},
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"residual_dropout"}),  # in training alone
)
