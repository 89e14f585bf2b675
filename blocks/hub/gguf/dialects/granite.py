"""Granite."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts

_SCALES = {
    "attention.scale": "attention_multiplier",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
}


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f) | common.rope(f, common.head_width(f))
    return found | {theirs: f.meta.take(name, float) for name, theirs in _SCALES.items()}


DIALECT = Dialect(
    "granite",
    config,
    lambda f, fields: (
        *common.ends(),
        *common.norms(),
        *common.attention(fields, turned=True),
        *common.GATED,
    ),
    ignore=("rope_freqs.weight",),
)
