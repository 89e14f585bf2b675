"""CodeGen."""

from __future__ import annotations

from transformers import CodeGenConfig, CodeGenForCausalLM

from tests.families.cases import gptj
from tests.families.reference import Case, Variant

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "all turn": Variant({"rotary_dim": 8}),
    "eight heads": Variant({"n_head": 8}),
    "four times as wide": Variant({"n_inner": None}),
    "relu": Variant({"activation_function": "relu"}),
}

PUBLISHED = {
    "Salesforce/codegen-350M-mono": (
        {
            "activation_function": "gelu_new",
            "architectures": ["CodeGenForCausalLM"],
            "attn_pdrop": 0.0,
            "bos_token_id": 1,
            "embd_pdrop": 0.0,
            "eos_token_id": 50256,
            "gradient_checkpointing": False,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "model_type": "codegen",
            "n_ctx": 2048,
            "n_embd": 1024,
            "n_head": 16,
            "n_inner": None,
            "n_layer": 20,
            "n_positions": 2048,
            "resid_pdrop": 0.0,
            "rotary_dim": 32,
            "scale_attn_weights": True,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
            "tie_word_embeddings": False,
            "tokenizer_class": "GPT2Tokenizer",
            "torch_dtype": "float16",
            "transformers_version": "4.21.0.dev0",
            "use_cache": True,
            "vocab_size": 51200,
        },
        356_712_448,
    ),
}

CASE = Case(
    config=CodeGenConfig,
    model=CodeGenForCausalLM,
    base=gptj.BASE,
    variants=VARIANTS,
    mutations=gptj.MUTATIONS,
    published=PUBLISHED,
    fields=gptj.CASE.fields,
    extra=("transformer.h.{i}.attn.causal_mask",),
    missing_prefix="transformer.",
)
