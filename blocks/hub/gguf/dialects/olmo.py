"""OLMo, whose norms have no weights."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f, "layer_norm_eps") | common.rope(f, common.head_width(f))
    if (eps := found.pop("layer_norm_eps")) != 1e-5:
        raise f.meta.error("attention.layer_norm_epsilon", f"is {eps}, OLMo's norms have 1e-05")
    return found | {"clip_qkv": f.meta.take("attention.clamp_kqv", float, 0.0) or None}


DIALECT = Dialect(
    "olmo",
    config,
    lambda f, fields: (
        *common.ends(),
        *common.attention(fields, turned=True),
        *common.GATED,
    ),
)
