"""Bamba."""

from __future__ import annotations

from transformers import BambaConfig, BambaForCausalLM

from blocks import GatedMLP, GatedRMSNorm, GQAttention, Mamba2, RMSNorm, RoPE
from tests.families.cases import llama
from tests.families.cases.mamba2 import CLAMPED
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 4,
    "attn_layer_indices": [1, 3],
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "mamba_n_heads": 8,
    "mamba_n_groups": 2,
    "mamba_d_state": 12,
    "mamba_chunk_size": 8,
    "max_position_embeddings": 64,
    "rms_norm_eps": 0.05,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "attention first": Variant({"attn_layer_indices": [0, 2]}),
    "biases": Variant({"attention_bias": True, "mlp_bias": True, "mamba_proj_bias": True}),
    "no bias of the convolution": Variant({"mamba_conv_bias": False}),
    "wide heads": Variant({"mamba_n_heads": 4, "mamba_n_groups": 1, "mamba_expand": 3}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "limits": Variant({"time_step_limit": (0.9, 1.4)}, generates=CLAMPED),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "groups of the norm": ("plain", change(GatedRMSNorm, groups=1)),
    "eps of the norm inside": ("plain", change(GatedRMSNorm, eps=0.06)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "biases of mixers": ("biases", change(Mamba2, bias=False)),
    "bias of the convolution": ("plain", change(Mamba2, conv_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.5)),
    "no linear": ("linear", change(RoPE, scaling=None)),
    "no limits": ("limits", change(Mamba2, limits=(0.0, float("inf")))),
}

PUBLISHED = {
    "ibm-ai-platform/Bamba-9B-v1": (
        {
            "architectures": ["BambaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_layer_indices": [9, 18, 27],
            "attn_rotary_emb": 64,
            "bos_token_id": 128000,
            "eos_token_id": 128001,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 14336,
            "mamba_chunk_size": 256,
            "mamba_conv_bias": True,
            "mamba_d_conv": 4,
            "mamba_d_head": 64,
            "mamba_d_state": 128,
            "mamba_expand": 2,
            "mamba_n_groups": 1,
            "mamba_n_heads": 128,
            "mamba_proj_bias": False,
            "max_position_embeddings": 4096,
            "mlp_bias": False,
            "model_type": "bamba",
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "num_logits_to_keep": 1,
            "pad_token_id": 0,
            "rms_norm_eps": 1e-05,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.45.0.dev0",
            "use_cache": True,
            "use_mamba_kernels": True,
            "vocab_size": 128256,
        },
        9_780_235_392,
    ),
}

# Sizes, which files tell, and what changes no number.
_SIZES = ("chunk_size", "d_conv", "d_head", "d_state", "expand", "n_groups", "n_heads")
UNTRIED = frozenset(f"mamba_{name}" for name in _SIZES) | {"attn_layer_indices"}

CASE = Case(
    config=BambaConfig,
    model=BambaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    huge={"mamba_n_heads": 2**41, "mamba_d_head": 64},
    untried=UNTRIED,
    tolerance=5e-5,
)
