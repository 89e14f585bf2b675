"""EXAONE 4.0."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    found = common.sizes(f) | common.rope(f, width) | {"head_dim": width, "sliding_window": None}
    if (window := m.take("attention.sliding_window", int, None)) is not None:
        kinds = common.layer_kinds(f, 4)
        found |= {"sliding_window": window, "sliding_window_pattern": 4, "layer_types": kinds}
    return found


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
