"""GPT-2 and its distilled and retrained kin."""

from __future__ import annotations

from transformers import GPT2Config, GPT2LMHeadModel

from blocks import MLP, GQAttention, LayerNorm, LearnedPositions
from tests.families.reference import Case, Variant, change, stack_mutations

NO_TOKENS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
BASE = {
    "vocab_size": 97,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 64,
    "n_inner": 56,
    "layer_norm_epsilon": 0.05,
    "tie_word_embeddings": False,
    **NO_TOKENS,
}

# What LLaMA calls the fields that tests ask for, and what this line of models calls them.
FIELDS = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
    "intermediate_size": "n_inner",
    "hidden_act": "activation_function",
    "attention_dropout": "attn_pdrop",
    "num_key_value_heads": None,
    "head_dim": None,
}
INVERSE = {"scale_attn_by_inverse_layer_idx": True}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "four times as wide": Variant({"n_inner": None}),
    "exact gelu": Variant({"activation_function": "gelu"}),
    "relu": Variant({"activation_function": "relu"}),
    "unscaled": Variant({"scale_attn_weights": False}),
    "scaled by depth": Variant(INVERSE),
    "scaled by depth alone": Variant(INVERSE | {"scale_attn_weights": False}),
    "upcast": Variant({"reorder_and_upcast_attn": True}),
    "three heads": Variant({"n_embd": 36, "n_head": 3}),
}

BIASES = {
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | BIASES
    | {
        "unscaled": ("plain", change(GQAttention, scale=1.0)),
        "scaled by width": ("unscaled", change(GQAttention, scale=None)),
        "scaled alike": ("scaled by depth", change(GQAttention, scale=None)),
        "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    }
)

PUBLISHED = {
    "openai-community/gpt2": (
        {
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.1,
            "bos_token_id": 50256,
            "embd_pdrop": 0.1,
            "eos_token_id": 50256,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt2",
            "n_ctx": 1024,
            "n_embd": 768,
            "n_head": 12,
            "n_layer": 12,
            "n_positions": 1024,
            "resid_pdrop": 0.1,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
            "vocab_size": 50257,
        },
        124_439_808,
    ),
}

CASE = Case(
    config=GPT2Config,
    model=GPT2LMHeadModel,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=FIELDS,
    extra=("transformer.h.{i}.attn.bias", "transformer.h.{i}.attn.masked_bias"),
    missing_prefix="transformer.",
    tied=True,
)
