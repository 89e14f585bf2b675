"""EXAONE 4.0."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    window = m.take("attention.sliding_window", int, None)
    m.only("attention.sliding_window_pattern", 4)
    pattern = {"sliding_window": window, "sliding_window_pattern": "LLLG" if window else None}
    return common.sizes(f) | common.rope(f, width) | pattern | {"head_dim": width}


DIALECT = Dialect(
    "exaone4",
    config,
    lambda f, fields: (
        *common.ends(),
        *common.after_norms(),
        *common.attention(),
        *common.GATED,
    ),
    ignore=("rope_freqs.weight",),
)
