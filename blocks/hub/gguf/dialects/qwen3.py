"""Qwen3."""

from __future__ import annotations

from blocks.hub.gguf.dialects import qwen2
from blocks.hub.gguf.dialects._common import head_width, rope, sizes
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "qwen3",
    lambda f: sizes(f) | rope(f, width := head_width(f)) | {"head_dim": width},
    qwen2.DIALECT.lines,
)
