"""StableLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f, "layer_norm_eps")
    found |= common.rope(f, common.head_width(f), part="partial_rotary_factor")
    return found | {
        "qk_layernorm": "blk.0.attn_q_norm.weight" in f.tensors,
        "use_parallel_residual": f.meta.take("use_parallel_residual", bool, False),
        "use_qkv_bias": "blk.0.attn_q.bias" in f.tensors,
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    each = (
        common.line(
            f"blk.{{i}}.attn_{part}_norm.weight",
            f"{common.ATTENTION}{part}_layernorm.norms.{{e}}.weight",
        )
        for part in "qk"
    )
    parts = common.attention()[:4]  # the norms are of each head
    return (*common.ends(), *common.norms(), *parts, *each, *common.GATED)


DIALECT = Dialect("stablelm", config, lines)
