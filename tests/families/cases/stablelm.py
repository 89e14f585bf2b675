"""StableLM."""

from __future__ import annotations

from transformers import StableLmConfig, StableLmForCausalLM

from blocks import GatedMLP, GQAttention, LayerNorm, QKNorm, RoPE
from tests.families.cases import phi
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = phi.BASE | {"num_key_value_heads": 2, **phi.rope("default", 0.5)}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"use_qkv_bias": True}),
    "side by side": Variant({"use_parallel_residual": True, "use_qkv_bias": True}),
    "norms of each head": Variant({"qk_layernorm": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "as many kv heads": Variant({"num_key_value_heads": 4}),
    "a quarter turns": Variant(phi.rope("default", 0.25)),
    "all turn": Variant(phi.rope("default", 1.0)),
    "linear": Variant(phi.rope("linear", 0.5, factor=4.0)),
    "gelu": Variant({"hidden_act": "gelu"}),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "all channels turn": ("plain", change(RoPE, rotated=1.0)),
    "no qk norm": ("norms of each head", change(GQAttention, qk=(RoPE,))),
    "one norm for all heads": ("norms of each head", change(QKNorm, over="head")),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

PUBLISHED = {
    "stabilityai/stablelm-2-1_6b": (
        {
            "architectures": ["StableLmForCausalLM"],
            "bos_token_id": 100257,
            "eos_token_id": 100257,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 5632,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 4096,
            "model_type": "stablelm",
            "num_attention_heads": 32,
            "num_hidden_layers": 24,
            "num_key_value_heads": 32,
            "partial_rotary_factor": 0.25,
            "rope_theta": 10000,
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
            "transformers_version": "4.38.0",
            "use_cache": True,
            "use_qkv_bias": True,
            "vocab_size": 100352,
        },
        1_644_515_328,
    ),
}

CASE = Case(
    config=StableLmConfig,
    model=StableLmForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"use_parallel_residual"}),
    fields={"head_dim": None},
)
