"""GPT-Neo."""

from __future__ import annotations

from transformers import GPTNeoConfig, GPTNeoForCausalLM

from blocks import MLP, GQAttention, LayerNorm, LearnedPositions, Window
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_layers": 2,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 1]],
    "window_size": 7,
    "max_position_embeddings": 64,
    "layer_norm_epsilon": 0.05,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "four times as wide": Variant({"intermediate_size": None}),
    "relu": Variant({"activation_function": "relu"}),
    "global alone": Variant({"attention_types": [[["global"], 2]]}),
    "local twice": Variant({"num_layers": 3, "attention_types": [[["global"], 1], [["local"], 2]]}),
}

MUTATIONS = stack_mutations(LayerNorm, MLP) | {
    "scaled": ("plain", change(GQAttention, scale=None)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
}

PUBLISHED = {
    "EleutherAI/gpt-neo-125m": (
        {
            "activation_function": "gelu_new",
            "architectures": ["GPTNeoForCausalLM"],
            "attention_dropout": 0,
            "attention_layers": ["global", "local"] * 6,
            "attention_types": [[["global", "local"], 6]],
            "bos_token_id": 50256,
            "embed_dropout": 0,
            "eos_token_id": 50256,
            "gradient_checkpointing": False,
            "hidden_size": 768,
            "initializer_range": 0.02,
            "intermediate_size": None,
            "layer_norm_epsilon": 1e-05,
            "max_position_embeddings": 2048,
            "model_type": "gpt_neo",
            "num_heads": 12,
            "num_layers": 12,
            "resid_dropout": 0,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "transformers_version": "4.9.0.dev0",
            "use_cache": True,
            "vocab_size": 50257,
            "window_size": 256,
        },
        125_198_592,
    ),
}

CASE = Case(
    config=GPTNeoConfig,
    model=GPTNeoForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"embed_dropout", "resid_dropout"}),
    fields={
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "hidden_act": "activation_function",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(
        "transformer.h.{i}.attn.attention.bias",
        "transformer.h.{i}.attn.attention.masked_bias",
    ),
    missing_prefix="transformer.",
    tied=True,
)
