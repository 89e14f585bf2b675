"""Gemma 3's models of text and images: the half that reads and writes text, as in `gemma3_text`.

Gemma Team, "Gemma 3 technical report", 2025, arXiv:2503.19786.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import gemma3_text as text
from blocks.families._inside import VISION, inside
from blocks.hub.config import Config
from blocks.hub.family import Family

# What concerns images alone.
_IMAGES = "boi_token_index eoi_token_index image_token_index mm_tokens_per_image vision_config"
# The published models leave out what they have in common.
_SAME = {"num_attention_heads": 8, "vocab_size": 262_208}


def spec(c: Config) -> Spec:
    for name in _IMAGES.split():
        c.take(name, Any, None)
    inner = c.inside("text_config", "gemma3_text", **_SAME)
    inner.only("final_logit_softcapping", None)  # the reference never caps here
    return text.spec(inner)


KEYS = inside(text.KEYS, apart=VISION)

FAMILY = Family(
    "gemma3", ("Gemma3ForConditionalGeneration",), spec, text.config, KEYS, written="gemma3_text"
)
