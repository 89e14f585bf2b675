"""Arcee's AFM."""

from __future__ import annotations

from transformers import ArceeConfig, ArceeForCausalLM

from blocks import MLP, GQAttention, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "wide heads": Variant({"head_dim": 10}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, MLP) | {
    "activation": ("plain", change(MLP, act="silu")),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(MLP, bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=ArceeConfig,
    model=ArceeForCausalLM,
    base=llama.BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
