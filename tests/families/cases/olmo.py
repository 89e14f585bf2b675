"""OLMo."""

from __future__ import annotations

from transformers import OlmoConfig, OlmoForCausalLM

from blocks import Clip, GatedMLP, GQAttention, LayerNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"}

VARIANTS = {
    "plain": Variant(),
    "clipped": Variant({"clip_qkv": 0.8}),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "cap": ("clipped", change(Clip, cap=0.7)),
    "values not clipped": ("clipped", change(GQAttention, values=None)),
    "queries and keys not clipped": ("clipped", change(GQAttention, qk=(RoPE,))),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=OlmoConfig,
    model=OlmoForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
