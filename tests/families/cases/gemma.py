"""Gemma."""

from __future__ import annotations

from transformers import GemmaConfig, GemmaForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, TokenEmbedding
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"head_dim": 8, "tie_word_embeddings": False}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "gelu by its old name": Variant({"hidden_act": "gelu"}),
    "silu": Variant({"hidden_act": "silu"}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "offset of norms": ("plain", change(RMSNorm, offset=0.0)),
    "no scale of embeddings": ("plain", change(TokenEmbedding, scale=1.0)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

PUBLISHED = {
    "google/gemma-2b": (
        {
            "architectures": ["GemmaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "head_dim": 256,
            "hidden_act": "gelu",
            "hidden_activation": None,
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 16384,
            "max_position_embeddings": 8192,
            "model_type": "gemma",
            "num_attention_heads": 8,
            "num_hidden_layers": 18,
            "num_key_value_heads": 1,
            "pad_token_id": 0,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.38.0.dev0",
            "use_cache": True,
            "vocab_size": 256000,
        },
        2_506_172_416,
    ),
}

CASE = Case(
    config=GemmaConfig,
    model=GemmaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    real={"gemma-2b": 2_506_172_416},
)
