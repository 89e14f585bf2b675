"""Fuyu-8B, asked with text alone; patches are in tests/families/test_patches.py."""

from __future__ import annotations

from transformers import FuyuConfig, FuyuForCausalLM

from tests.families.ageing import old_inside
from tests.families.cases import persimmon as text
from tests.families.reference import Case

BASE = {
    "image_token_id": 90,
    "num_channels": 2,
    "patch_size": 3,
    "text_config": {"model_type": "persimmon", **text.BASE},
    "tie_word_embeddings": False,
}

PUBLISHED = {
    "adept/fuyu-8b": (
        {
            "architectures": ["FuyuForCausalLM"],
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_act": "relu2",
            "hidden_dropout": 0.0,
            "hidden_size": 4096,
            "image_size": 300,
            "initializer_range": 0.02,
            "intermediate_size": 16384,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 16384,
            "model_type": "fuyu",
            "num_attention_heads": 64,
            "num_channels": 3,
            "num_hidden_layers": 36,
            "patch_size": 30,
            "qk_layernorm": True,
            "rope_scaling": None,
            "rope_theta": 25000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.35.0.dev0",
            "use_cache": True,
            "vocab_size": 262144,
        },
        9_408_238_592,
    ),
}

CASE = Case(
    config=FuyuConfig,
    model=FuyuForCausalLM,
    base=BASE,
    variants=text.VARIANTS,
    mutations=text.MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"image_token_id", "num_channels", "patch_size", "model_type"}),
    fields=text.CASE.fields,
    extra=("language_model.model.layers.{i}.self_attn.rotary_emb.inv_freq",),
    older=old_inside("text_config"),
    inside="text_config",
)
