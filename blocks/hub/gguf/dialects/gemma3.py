"""Gemma 3's text models."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.dialects import gemma2
from blocks.hub.gguf.facts import Dialect, Facts

_LARGEST = 62  # layers of the 27B, as in Gemma 2


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    m.only("rope.local.freq_base", 10_000.0)
    m.only("rope.freq_base_swa", 10_000.0)
    found = common.sizes(f) | common.rope(f, width, 1e6) | {"head_dim": width}
    return found | {
        "rope_local_base_freq": 10_000.0,
        "query_pre_attn_scalar": common.scalar(found, _LARGEST),
        "sliding_window": m.take("attention.sliding_window", int),
        "layer_types": common.layer_kinds(f, 6),
        "final_logit_softcapping": m.take("final_logit_softcapping", float, None),
    }


DIALECT = Dialect("gemma3_text", config, gemma2.DIALECT.lines)
