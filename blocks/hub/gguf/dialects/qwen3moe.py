"""Qwen3 with experts."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    width = common.head_width(f)
    found = common.sizes(f) | common.rope(f, width) | common.experts(f)
    return found | {"head_dim": width, "norm_topk_prob": True}


DIALECT = Dialect(
    "qwen3_moe",
    config,
    lambda f, fields: (*common.ends(), *common.norms(), *common.attention(), *common.EXPERTS),
)
