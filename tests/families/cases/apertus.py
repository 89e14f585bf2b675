"""Apertus."""

from __future__ import annotations

from transformers import ApertusConfig, ApertusForCausalLM

from blocks import MLP, GQAttention, QKNorm, RMSNorm, RoPE
from tests.families.cases import gpt_oss, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rope_theta"} | {
    "rope_parameters": llama.LLAMA3
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "silu": Variant({"hidden_act": "silu"}),
    "tied": Variant({"tie_word_embeddings": True}),
    "not stretched": Variant(llama.rope("default")),
}

MUTATIONS = decoder_mutations(RMSNorm, MLP) | {
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of llama3": ("plain", rescale(factor=6.0)),
    "length of llama3": ("plain", rescale(trained=24)),
}

CASE = Case(
    config=ApertusConfig,
    model=ApertusForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    older=gpt_oss.older,
)
