"""Nemotron-4 and Minitron."""

from __future__ import annotations

from transformers import NemotronConfig, NemotronForCausalLM

from blocks import MLP, GQAttention, LayerNorm, RoPE
from tests.families.cases import llama
from tests.families.cases.phi import rope
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"} | {
    "norm_eps": 0.05,
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "wide heads": Variant({"head_dim": 12, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "all turn": Variant(rope("default", 1.0)),
    "linear": Variant(rope("linear", 0.5, factor=4.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "activation": ("plain", change(MLP, act="silu")),
    "offset of norms": ("plain", change(LayerNorm, offset=0.0)),
    "all channels turn": ("plain", change(RoPE, rotated=1.0)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(MLP, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=NemotronConfig,
    model=NemotronForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
