"""The first GPT."""

from __future__ import annotations

from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

from blocks import MLP, LayerNorm, LearnedPositions
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {name: value for name, value in gpt2.BASE.items() if name != "n_inner"}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "relu": Variant({"afn": "relu"}),
    "silu": Variant({"afn": "swish"}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "activation": ("plain", change(MLP, act="relu")),
        "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    }
)
del MUTATIONS["last norm"]  # it has none

PUBLISHED = {
    "openai-community/openai-gpt": (
        {
            "afn": "gelu",
            "architectures": ["OpenAIGPTLMHeadModel"],
            "attn_pdrop": 0.1,
            "embd_pdrop": 0.1,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "openai-gpt",
            "n_ctx": 512,
            "n_embd": 768,
            "n_head": 12,
            "n_layer": 12,
            "n_positions": 512,
            "n_special": 0,
            "predict_special_tokens": True,
            "resid_pdrop": 0.1,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
            "vocab_size": 40478,
        },
        116_534_784,
    ),
}

CASE = Case(
    config=OpenAIGPTConfig,
    model=OpenAIGPTLMHeadModel,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=gpt2.FIELDS | {"intermediate_size": None, "hidden_act": "afn"},
    extra=("transformer.h.{i}.attn.bias",),
    missing_prefix="transformer.",
    tied=True,
)
