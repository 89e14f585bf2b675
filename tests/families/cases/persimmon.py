"""Persimmon-8B."""

from __future__ import annotations

from transformers import PersimmonConfig, PersimmonForCausalLM

from blocks import MLP, GQAttention, LayerNorm, RoPE
from tests.families.cases import gpt2, phi
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in phi.BASE.items() if name != "num_key_value_heads"}

VARIANTS = {
    "plain": Variant(),
    "no qk norm": Variant({"qk_layernorm": False}),
    "tied": Variant({"tie_word_embeddings": True}),
    "all turn": Variant(phi.rope("default", 1.0)),
    "three quarters turn": Variant(phi.rope("default", 0.75)),
    "gelu": Variant({"hidden_act": "gelu"}),
    "linear": Variant(phi.rope("linear", 0.5, factor=4.0)),
    "dynamic": Variant(phi.rope("dynamic", 0.5, factor=4.0) | {"max_position_embeddings": 16}),
}

MUTATIONS = (
    decoder_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "activation": ("plain", change(MLP, act="relu")),
        "all channels turn": ("plain", change(RoPE, rotated=1.0)),
        "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
        "factor of linear": ("linear", rescale(factor=3.0)),
        "factor of dynamic": ("dynamic", rescale(factor=3.0)),
    }
)

PUBLISHED = {
    "adept/persimmon-8b-base": (
        {
            "architectures": ["PersimmonForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 71013,
            "eos_token_id": 71013,
            "hidden_act": "relu2",
            "hidden_dropout": 0.0,
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 16384,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 16384,
            "model_type": "persimmon",
            "num_attention_heads": 64,
            "num_hidden_layers": 36,
            "partial_rotary_factor": 0.5,
            "qk_layernorm": True,
            "rope_scaling": None,
            "rope_theta": 25000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.34.0.dev0",
            "use_cache": True,
            "vocab_size": 262144,
        },
        9_397_175_296,
    ),
}

CASE = Case(
    config=PersimmonConfig,
    model=PersimmonForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields={"num_key_value_heads": None, "head_dim": None},
)
