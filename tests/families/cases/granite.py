"""Granite 3."""

from __future__ import annotations

from transformers import GraniteConfig, GraniteForCausalLM

from blocks import GatedMLP, GQAttention, LMHead, Residual, RMSNorm, TokenEmbedding
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "attention_multiplier": 0.3,
    "embedding_multiplier": 3.0,
    "logits_scaling": 3.0,
    "residual_multiplier": 0.7,
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "scale of scores": ("plain", change(GQAttention, scale=8**-0.5)),
    "scale of embeddings": ("plain", change(TokenEmbedding, scale=1.0)),
    "scale of branches": ("plain", change(Residual, scale=1.0)),
    "scale of logits": ("plain", change(LMHead, scale=1.0)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=GraniteConfig,
    model=GraniteForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
