"""Jais 2."""

from __future__ import annotations

from transformers import Jais2Config, Jais2ForCausalLM

from blocks import MLP, GQAttention, LayerNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"} | {
    "layer_norm_eps": 0.05,
}

VARIANTS = {
    "plain": Variant(),
    "no biases": Variant({"attention_bias": False, "mlp_bias": False}),
    "wide heads": Variant({"head_dim": 10}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "activation": ("plain", change(MLP, act="silu")),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=Jais2Config,
    model=Jais2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
