"""ERNIE 4.5."""

from __future__ import annotations

from transformers import Ernie4_5Config, Ernie4_5ForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"head_dim": 8, "tie_word_embeddings": False}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"use_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}


def no_bias(spec):
    return change(GatedMLP, bias=False)(change(GQAttention, bias=False, out_bias=False)(spec))


MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "biases": ("biases", no_bias),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=Ernie4_5Config,
    model=Ernie4_5ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    tied=True,
)
