"""Qwen2 and 2.5."""

from __future__ import annotations

from blocks.hub.gguf.dialects._common import GATED, attention, ends, head_width, norms, rope, sizes
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "qwen2",
    lambda f: sizes(f) | rope(f, head_width(f)),
    lambda f, fields: (*ends(), *norms(), *attention(), *GATED),
)
