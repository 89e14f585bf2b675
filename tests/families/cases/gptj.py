"""GPT-J."""

from __future__ import annotations

from transformers import GPTJConfig, GPTJForCausalLM

from blocks import MLP, LayerNorm, LMHead, RoPE
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, decoder_mutations

BASE = gpt2.BASE | {"n_layer": 2, "rotary_dim": 4}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "all turn": Variant({"rotary_dim": 8}),
    "an odd share turns": Variant({"n_embd": 36, "n_head": 2, "rotary_dim": 14}),
    "four times as wide": Variant({"n_inner": None}),
    "relu": Variant({"activation_function": "relu"}),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "all channels turn": ("plain", change(RoPE, rotated=1.0)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "bias of the head": ("plain", change(LMHead, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
}

PUBLISHED = {
    "EleutherAI/gpt-j-6b": (
        {
            "activation_function": "gelu_new",
            "architectures": ["GPTJForCausalLM"],
            "attn_pdrop": 0.0,
            "bos_token_id": 50256,
            "embd_pdrop": 0.0,
            "eos_token_id": 50256,
            "gradient_checkpointing": False,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gptj",
            "n_embd": 4096,
            "n_head": 16,
            "n_inner": None,
            "n_layer": 28,
            "n_positions": 2048,
            "resid_pdrop": 0.0,
            "rotary": True,
            "rotary_dim": 64,
            "scale_attn_weights": True,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
            "tie_word_embeddings": False,
            "tokenizer_class": "GPT2Tokenizer",
            "transformers_version": "4.18.0.dev0",
            "use_cache": True,
            "vocab_size": 50400,
        },
        6_050_882_784,
    ),
}

CASE = Case(
    config=GPTJConfig,
    model=GPTJForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=gpt2.FIELDS,
    extra=gpt2.CASE.extra,
    missing_prefix="transformer.",
)
