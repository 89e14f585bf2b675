"""LLaMA 1 to 3.2, TinyLlama, SmolLM2."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, RoPE
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 0.05,
    "rope_theta": 500.0,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 500.0,
    "original_max_position_embeddings": 16,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
}


def rope(kind: str, **options: object) -> dict[str, object]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 500.0, **options}}


VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "attention biases": Variant({"attention_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "wide heads": Variant({"head_dim": 10}),
    "narrow heads": Variant({"head_dim": 6, "num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": 4}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "linear": Variant(rope("linear", factor=4.0)),
    "dynamic": Variant(rope("dynamic", factor=4.0) | {"max_position_embeddings": 16}),
    "llama3": Variant({"rope_parameters": LLAMA3}),
    "yarn": Variant({"rope_parameters": YARN}),
    "yarn ramp": Variant(
        {"rope_parameters": YARN | {"beta_fast": 4.0, "beta_slow": 0.5, "truncate": False}}
    ),
    "yarn mscale": Variant({"rope_parameters": YARN | {"mscale": 0.7, "mscale_all_dim": 1.4}}),
    "longrope": Variant({"rope_parameters": LONGROPE}),
    "longrope factor": Variant({"rope_parameters": LONGROPE | {"attention_factor": 1.3}}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "no linear": ("linear", change(RoPE, scaling=None)),
    "factor of linear": ("linear", rescale(factor=3.5)),
    "no dynamic": ("dynamic", change(RoPE, scaling=None)),
    "factor of dynamic": ("dynamic", rescale(factor=3.5)),
    "length of dynamic": ("dynamic", rescale(trained=20)),
    "factor of llama3": ("llama3", rescale(factor=6.0)),
    "low of llama3": ("llama3", rescale(low=0.5)),
    "high of llama3": ("llama3", rescale(high=6.0)),
    "length of llama3": ("llama3", rescale(trained=24)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
    "length of yarn": ("yarn ramp", rescale(trained=32)),
    "magnitude of yarn": ("yarn", rescale(magnitude=1.0)),
    "mscale of yarn": ("yarn mscale", rescale(magnitude=None)),
    "fast of yarn": ("yarn ramp", rescale(fast=2.0)),
    "slow of yarn": ("yarn ramp", rescale(slow=0.25)),
    "truncation of yarn": ("yarn ramp", rescale(truncate=True)),
    "short of longrope": ("longrope", rescale(trained=64)),
    "long of longrope": ("longrope", rescale(long=(2.0, 3.0, 4.0, 6.0))),
    "magnitude of longrope": ("longrope", rescale(long_magnitude=1.0)),
}

_FORM = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
PUBLISHED = {
    "HuggingFaceTB/SmolLM2-135M": (
        _FORM
        | {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "hidden_size": 576,
            "initializer_range": 0.041666666666666664,
            "intermediate_size": 1536,
            "is_llama_config": True,
            "max_position_embeddings": 8192,
            "mlp_bias": False,
            "num_attention_heads": 9,
            "num_hidden_layers": 30,
            "num_key_value_heads": 3,
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-05,
            "rope_interleaved": False,
            "rope_scaling": None,
            "rope_theta": 100000,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}},
            "transformers_version": "4.40.1",
            "use_cache": True,
            "vocab_size": 49152,
        },
        134_515_008,
    ),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": (
        _FORM
        | {
            "attention_bias": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 5632,
            "max_position_embeddings": 2048,
            "num_attention_heads": 32,
            "num_hidden_layers": 22,
            "num_key_value_heads": 4,
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-05,
            "rope_scaling": None,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.35.0",
            "use_cache": True,
            "vocab_size": 32000,
        },
        1_100_048_384,
    ),
    "meta-llama/Llama-2-7b-hf": (
        _FORM
        | {
            "_name_or_path": "meta-llama/Llama-2-7b-hf",
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 11008,
            "max_position_embeddings": 4096,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 32,
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-05,
            "rope_scaling": None,
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
            "transformers_version": "4.31.0.dev0",
            "use_cache": True,
            "vocab_size": 32000,
        },
        6_738_415_616,
    ),
    "huggyllama/llama-7b": (
        _FORM
        | {
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 11008,
            "max_sequence_length": 2048,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "pad_token_id": 0,
            "rms_norm_eps": 1e-06,
            "torch_dtype": "float16",
            "transformers_version": "4.27.0.dev0",
            "use_cache": True,
            "vocab_size": 32000,
        },
        6_738_415_616,
    ),
    "meta-llama/Llama-3.2-1B": (
        _FORM
        | {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 128000,
            "eos_token_id": 128001,
            "head_dim": 64,
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 8192,
            "max_position_embeddings": 131072,
            "mlp_bias": False,
            "num_attention_heads": 32,
            "num_hidden_layers": 16,
            "num_key_value_heads": 8,
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-05,
            "rope_scaling": {
                "factor": 32.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            "rope_theta": 500000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.45.0.dev0",
            "use_cache": True,
            "vocab_size": 128256,
        },
        1_235_814_400,
    ),
}

CASE = Case(
    config=LlamaConfig,
    model=LlamaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    real={"llama-3.1-70b": 70_553_804_800},
)
