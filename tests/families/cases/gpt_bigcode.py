"""SantaCoder and StarCoder."""

from __future__ import annotations

from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

from blocks import MLP, GQAttention, LayerNorm, LearnedPositions
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = gpt2.BASE | {"n_layer": 2}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "many key heads": Variant({"multi_query": False}),
    "four times as wide": Variant({"n_inner": None}),
    "relu": Variant({"activation_function": "relu"}),
    "unscaled": Variant({"scale_attn_weights": False}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "unscaled": ("plain", change(GQAttention, scale=1.0)),
        "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    }
)

PUBLISHED = {
    "bigcode/gpt_bigcode-santacoder": (
        {
            "activation_function": "gelu_fast",
            "architectures": ["GPTBigCodeForCausalLM"],
            "attention_softmax_in_fp32": True,
            "attn_pdrop": 0.1,
            "bos_token_id": 49152,
            "embd_pdrop": 0.1,
            "eos_token_id": 49152,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt_bigcode",
            "multi_query": True,
            "n_embd": 2048,
            "n_head": 16,
            "n_inner": 8192,
            "n_layer": 24,
            "n_positions": 2048,
            "resid_pdrop": 0.1,
            "scale_attention_softmax_in_fp32": True,
            "scale_attn_weights": True,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "torch_dtype": "float32",
            "transformers_version": "4.28.0.dev0",
            "use_cache": True,
            "vocab_size": 49280,
        },
        1_124_886_528,
    ),
}

CASE = Case(
    config=GPTBigCodeConfig,
    model=GPTBigCodeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"multi_query"}),  # every tensor's shape tells it
    fields=gpt2.FIELDS,
    extra=gpt2.CASE.extra,
    missing_prefix="transformer.",
    tied=True,
)
