"""Gemma 3's models of text and images, asked with text alone."""

from __future__ import annotations

from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration

from tests.families.ageing import old_inside
from tests.families.cases import gemma3_text as text
from tests.families.reference import Case

_VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 16,
    "image_size": 8,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 4,
    "vision_use_head": False,
}
BASE = {
    "mm_tokens_per_image": 4,
    "text_config": {"model_type": "gemma3_text", **text.BASE},
    "tie_word_embeddings": False,
    "vision_config": _VISION,
}

VARIANTS = {name: variant for name, variant in text.VARIANTS.items() if name != "cap"}
MUTATIONS = {name: tried for name, tried in text.MUTATIONS.items() if tried[0] != "cap"}

PUBLISHED = {
    "google/gemma-3-4b-it": (
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "boi_token_index": 255999,
            "eoi_token_index": 256000,
            "eos_token_id": [1, 106],
            "image_token_index": 262144,
            "initializer_range": 0.02,
            "mm_tokens_per_image": 256,
            "model_type": "gemma3",
            "text_config": {
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "model_type": "gemma3_text",
                "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024,
            },
            "torch_dtype": "bfloat16",
            "transformers_version": "4.50.0.dev0",
            "vision_config": {
                "hidden_size": 1152,
                "image_size": 896,
                "intermediate_size": 4304,
                "model_type": "siglip_vision_model",
                "num_attention_heads": 16,
                "num_hidden_layers": 27,
                "patch_size": 14,
                "vision_use_head": False,
            },
        },
        4_300_079_472 - 419_816_304,  # all without the tower and the projector
    ),
}

CASE = Case(
    config=Gemma3Config,
    model=Gemma3ForConditionalGeneration,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=text.CASE.fields,
    extra=("language_model.model.layers.{i}.self_attn.rotary_emb.inv_freq",),
    older=old_inside("text_config"),
    tied=True,
    inside="text_config",
    implied=frozenset({"num_attention_heads", "vocab_size"}),
    untried=frozenset({"final_logit_softcapping"}),
    exported=Gemma3ForCausalLM,
)
