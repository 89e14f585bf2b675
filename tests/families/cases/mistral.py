"""Mistral 7B."""

from __future__ import annotations

from transformers import MistralConfig, MistralForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

VARIANTS = {
    "plain": Variant({"sliding_window": None}),
    "window": Variant({"sliding_window": 7}),
    "wide window": Variant({"sliding_window": 30, "num_key_value_heads": 4}),
    "tied": Variant({"tie_word_embeddings": True, "sliding_window": 7}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "yarn": Variant({"rope_parameters": llama.YARN, "sliding_window": None}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

_FORM = {
    "architectures": ["MistralForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}
PUBLISHED = {
    "mistralai/Mistral-7B-v0.1": (
        _FORM
        | {
            "rope_theta": 10000.0,
            "sliding_window": 4096,
            "transformers_version": "4.34.0.dev0",
            "vocab_size": 32000,
        },
        7_241_732_096,
    ),
    "mistralai/Mistral-7B-v0.3": (
        _FORM
        | {
            "attention_dropout": 0.0,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "transformers_version": "4.42.0.dev0",
            "vocab_size": 32768,
        },
        7_248_023_552,
    ),
}

CASE = Case(
    config=MistralConfig,
    model=MistralForCausalLM,
    base=llama.BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
