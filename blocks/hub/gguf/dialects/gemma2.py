"""Gemma 2."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts

_LARGEST = 46  # layers of the 27B, whose queries are scaled as if heads shared the model's width


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    found = common.sizes(f) | common.rope(f, width) | {"head_dim": width}
    return found | {
        "attn_logit_softcapping": m.take("attn_logit_softcapping", float, 50.0),
        "final_logit_softcapping": m.take("final_logit_softcapping", float, 30.0),
        "query_pre_attn_scalar": common.scalar(found, _LARGEST),
        "layer_types": common.layer_kinds(f, 2),
        "sliding_window": m.take("attention.sliding_window", int, 4096),
    }


DIALECT = Dialect(
    "gemma2",
    config,
    lambda f, fields: (
        *common.ends(common.LESS),
        *common.SANDWICH,
        *common.attention(norm=common.LESS),
        *common.GATED,
    ),
)
