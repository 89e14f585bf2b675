"""Ministral."""

from __future__ import annotations

from transformers import MinistralConfig, MinistralForCausalLM

from blocks import Causal, GatedMLP, GQAttention, RMSNorm, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant({"layer_types": ["full_attention"] * 2}),
    "windows": Variant({"sliding_window": 7}),
    "window in the second layer": Variant(
        {"sliding_window": 7, "layer_types": ["full_attention", "sliding_attention"]}
    ),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True, "sliding_window": 7}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("windows", change(GQAttention, mask=Window(8))),
    "window - 1": ("windows", change(GQAttention, mask=Window(6))),
    "no window": ("window in the second layer", change(GQAttention, mask=Causal())),
    "window in both": ("window in the second layer", change(GQAttention, mask=Window(7))),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=MinistralConfig,
    model=MinistralForCausalLM,
    base=llama.BASE | {"head_dim": 8},
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
