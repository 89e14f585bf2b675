"""Command R7B, of whose layers every fourth has neither window nor RoPE."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.dialects import command_r
from blocks.hub.gguf.facts import Dialect, Facts


def config(f: Facts) -> dict[str, Any]:
    m = f.meta
    return (
        common.sizes(f, "layer_norm_eps")
        | common.rope(f, common.head_width(f))
        | {
            "logit_scale": m.take("logit_scale", float),
            "sliding_window": m.take("attention.sliding_window", int),
            "layer_types": common.layer_kinds(f, 4),
        }
    )


DIALECT = Dialect("cohere2", config, command_r.DIALECT.lines)
