"""Qwen3."""

from __future__ import annotations

from transformers import Qwen3Config, Qwen3ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, QKNorm, RMSNorm, RoPE, Window
from tests.families.cases import llama, qwen2
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = qwen2.BASE | {"head_dim": 8}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "window in the second layer": Variant(qwen2.LATE),
    "windows": Variant(qwen2.LATE | {"max_window_layers": 0}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "eps of qk norm": ("plain", change("layers.*.attention.qk.0.*", eps=0.06)),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "window + 1": ("windows", change(GQAttention, mask=Window(8))),
    "window - 1": ("windows", change(GQAttention, mask=Window(6))),
    "no window": ("window in the second layer", change(GQAttention, mask=Causal())),
    "window in both": ("window in the second layer", change(GQAttention, mask=Window(7))),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

PUBLISHED = {
    "Qwen/Qwen3-0.6B": (
        {
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 151643,
            "eos_token_id": 151645,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 1024,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "max_position_embeddings": 40960,
            "max_window_layers": 28,
            "model_type": "qwen3",
            "num_attention_heads": 16,
            "num_hidden_layers": 28,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.51.0",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 151936,
        },
        596_049_920,
    ),
}

CASE = Case(
    config=Qwen3Config,
    model=Qwen3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
