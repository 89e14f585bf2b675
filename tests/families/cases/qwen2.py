"""Qwen2 and Qwen2.5."""

from __future__ import annotations

from transformers import Qwen2Config, Qwen2ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, RMSNorm, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"use_sliding_window": False, "max_window_layers": 1}
LATE = {"use_sliding_window": True, "sliding_window": 7}

VARIANTS = {
    "plain": Variant(),
    "window in the second layer": Variant(LATE),
    "windows": Variant(LATE | {"max_window_layers": 0}),
    "window in the first layer": Variant(
        LATE | {"layer_types": ["sliding_attention", "full_attention"]}
    ),
    "tied": Variant({"tie_word_embeddings": True}),
    "as many kv heads": Variant({"num_key_value_heads": 4}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
    "gelu": Variant({"hidden_act": "gelu"}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("windows", change(GQAttention, mask=Window(8))),
    "window - 1": ("windows", change(GQAttention, mask=Window(6))),
    "no window": ("window in the second layer", change(GQAttention, mask=Causal())),
    "window in both": ("window in the second layer", change(GQAttention, mask=Window(7))),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

PUBLISHED = {
    "Qwen/Qwen2.5-0.5B": (
        {
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 151643,
            "eos_token_id": 151643,
            "hidden_act": "silu",
            "hidden_size": 896,
            "initializer_range": 0.02,
            "intermediate_size": 4864,
            "max_position_embeddings": 32768,
            "max_window_layers": 24,
            "model_type": "qwen2",
            "num_attention_heads": 14,
            "num_hidden_layers": 24,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 32768,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.40.1",
            "use_cache": True,
            "use_mrope": False,
            "use_sliding_window": False,
            "vocab_size": 151936,
        },
        494_032_768,
    ),
}

CASE = Case(
    config=Qwen2Config,
    model=Qwen2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
