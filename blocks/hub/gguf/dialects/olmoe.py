"""OLMoE."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.dialects import qwen3moe
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f) | common.rope(f, common.head_width(f)) | common.experts(f, size=None)
    f.meta.only("expert_feed_forward_length", found["intermediate_size"])
    cap = f.meta.take("attention.clamp_kqv", float, 0.0)
    return found | {"clip_qkv": cap or None, "norm_topk_prob": False}


DIALECT = Dialect("olmoe", config, qwen3moe.DIALECT.lines)
