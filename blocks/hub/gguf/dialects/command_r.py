"""Command R and R+."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f, "layer_norm_eps") | common.rope(f, common.head_width(f))
    return found | {
        "logit_scale": f.meta.take("logit_scale", float),
        "use_qk_norm": "blk.0.attn_q_norm.weight" in f.tensors,
    }


DIALECT = Dialect(
    "cohere",
    config,
    lambda f, fields: (*common.ends(), *common.norms(), *common.attention(), *common.GATED),
)
