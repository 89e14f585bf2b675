"""Gemma 3's text models."""

from __future__ import annotations

from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from blocks import Causal, GatedMLP, GQAttention, LMHead, QKNorm, RMSNorm, RoPE, Window
from tests.families.cases import gemma
from tests.families.reference import Case, Variant, change, decoder_mutations


def ropes(theta: float, local: float, **scaling: object) -> dict[str, object]:
    default = {"rope_type": "default"}
    return {
        "full_attention": {"rope_theta": theta} | (scaling or default),
        "sliding_attention": {"rope_theta": local} | default,
    }


BASE = {name: value for name, value in gemma.BASE.items() if name != "rope_theta"} | {
    "query_pre_attn_scalar": 64,
    "sliding_window": 7,
    "rope_parameters": ropes(500.0, 80.0),
    "layer_types": ["sliding_attention", "full_attention"],
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"attention_bias": True}),
    "cap": Variant({"final_logit_softcapping": 3.0}),
    "seven layers": Variant({"num_hidden_layers": 7, "layer_types": None}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "silu": Variant({"hidden_activation": "silu"}),
    "linear": Variant({"rope_parameters": ropes(500.0, 80.0, rope_type="linear", factor=4.0)}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "offset of norms": ("plain", change(RMSNorm, offset=0.0)),
    "one theta": ("plain", change("layers.0.attention.qk.1", theta=500.0)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "cap of logits": ("cap", change(LMHead, cap=4.0)),
    "query_pre_attn_scalar": ("plain", change(GQAttention, scale=60**-0.5)),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "one window": ("seven layers", change("layers.5.attention", mask=Window(7))),
    "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", change("layers.1.attention.qk.1", scaling=None)),
}

_COMMON = {
    "architectures": ["Gemma3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "initializer_range": 0.02,
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 262144,
}
PUBLISHED = {
    "google/gemma-3-1b-it": (
        _COMMON
        | {
            "cache_implementation": "hybrid",
            "eos_token_id": [1, 106],
            "hidden_size": 1152,
            "intermediate_size": 6912,
            "num_hidden_layers": 26,
            "sliding_window_pattern": 6,
            "transformers_version": "4.50.0.dev0",
        },
        999_885_952,
    ),
    "google/gemma-3-270m": (
        _COMMON
        | {
            "_sliding_window_pattern": 6,
            "eos_token_id": 1,
            "hidden_size": 640,
            "intermediate_size": 2048,
            "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3,
            "num_hidden_layers": 18,
            "transformers_version": "4.55.0.dev0",
            "use_bidirectional_attention": False,
        },
        268_098_176,
    ),
}

CASE = Case(
    config=Gemma3TextConfig,
    model=Gemma3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields={"hidden_act": "hidden_activation"},
)
