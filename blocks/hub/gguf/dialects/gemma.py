"""Gemma."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

LESS = common.LESS

DIALECT = Dialect(
    "gemma",
    lambda f: common.sizes(f) | common.rope(f, w := common.head_width(f)) | {"head_dim": w},
    lambda f, fields: (
        *common.ends(LESS),
        *common.norms(LESS),
        *common.attention(),
        *common.GATED,
    ),
)
