"""GLM-4."""

from __future__ import annotations

from transformers import GlmConfig, GlmForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, RoPE
from tests.families.cases import llama
from tests.families.cases.phi import rope
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"head_dim": 8}

VARIANTS = {
    "plain": Variant(),
    "no biases": Variant({"attention_bias": False}),
    "wide heads": Variant({"head_dim": 12, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "all turn": Variant(rope("default", 1.0)),
    "linear": Variant(rope("linear", 0.5, factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "all channels turn": ("plain", change(RoPE, rotated=1.0)),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=GlmConfig,
    model=GlmForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
