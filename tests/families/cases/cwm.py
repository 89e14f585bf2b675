"""Code World Model."""

from __future__ import annotations

from transformers import CwmConfig, CwmForCausalLM

from blocks import Causal, GatedMLP, GQAttention, RMSNorm, Window
from tests.families.cases import gpt_oss, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rope_theta"} | {
    "bos_token_id": 1,
    "head_dim": 8,
    "sliding_window": 7,
    "rope_parameters": llama.LLAMA3,
}

VARIANTS = {
    "plain": Variant(),
    "five layers": Variant({"num_hidden_layers": 5}),
    "the other layers": Variant({"layer_types": ["sliding_attention", "full_attention"]}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "biases": Variant({"mlp_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "not stretched": Variant(llama.rope("default")),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
    "no window": ("plain", change(GQAttention, mask=Causal())),
    "window in both": ("plain", change(GQAttention, mask=Window(7))),
    "window in the fifth": ("five layers", change("layers.4.attention", mask=Window(7))),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of llama3": ("plain", rescale(factor=6.0)),
    "length of llama3": ("plain", rescale(trained=24)),
}

CASE = Case(
    config=CwmConfig,
    model=CwmForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    older=gpt_oss.older,
)
