"""Hunyuan's dense models."""

from __future__ import annotations

from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM

from blocks import GatedMLP, GQAttention, QKNorm, RMSNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "stretched": Variant(llama.rope("dynamic", alpha=50.0, factor=1.0)),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "eps of qk norm": ("plain", change("layers.*.attention.qk.1.*", eps=0.5)),
    "theta not stretched": ("stretched", change(RoPE, theta=500.0)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=HunYuanDenseV1Config,
    model=HunYuanDenseV1ForCausalLM,
    base=llama.BASE | {"head_dim": 8},  # the reference has no default that works
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
