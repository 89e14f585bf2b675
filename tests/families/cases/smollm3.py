"""SmolLM3."""

from __future__ import annotations

from transformers import SmolLM3Config, SmolLM3ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, RMSNorm, RoPE, Spec, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"tie_word_embeddings": False, "no_rope_layers": [1, 0]}

VARIANTS = {
    "plain": Variant(),
    "five layers": Variant({"num_hidden_layers": 5, "no_rope_layers": None}),
    "every third": Variant(
        {"num_hidden_layers": 3, "no_rope_layers": None, "no_rope_layer_interval": 3}
    ),
    "window": Variant({"use_sliding_window": True, "sliding_window": 7}),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "rope in both": ("plain", change(GQAttention, qk=(Spec(RoPE, theta=500.0),))),
    "the other layer turns": ("five layers", change("layers.0.attention", qk=())),
    "window + 1": ("window", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("window", change("layers.1.attention", mask=Window(6))),
    "no window": ("window", change(GQAttention, mask=Causal())),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

PUBLISHED = {
    "HuggingFaceTB/SmolLM3-3B": (
        {
            "architectures": ["SmolLM3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": None,
            "eos_token_id": 128012,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 11008,
            "layer_types": ["full_attention"] * 36,
            "max_position_embeddings": 65536,
            "max_window_layers": 28,
            "mlp_bias": False,
            "model_type": "smollm3",
            "no_rope_layer_interval": 4,
            "no_rope_layers": [1, 1, 1, 0] * 9,
            "num_attention_heads": 16,
            "num_hidden_layers": 36,
            "num_key_value_heads": 4,
            "pad_token_id": 128004,
            "pretraining_tp": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 5000000.0,
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "tie_word_embeddings": True,
            "transformers_version": "4.54.0.dev0",
            "use_cache": False,
            "use_sliding_window": False,
            "vocab_size": 128256,
        },
        3_075_098_624,
    ),
}

CASE = Case(
    config=SmolLM3Config,
    model=SmolLM3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
