"""Phi-3, 3.5 and 4."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line

_LONG = {"long_factor": "rope_factors_long.weight", "short_factor": "rope_factors_short.weight"}


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    found = common.sizes(f) | common.rope(f, width, part="partial_rotary_factor")
    context = found["max_position_embeddings"]
    trained = m.take("rope.scaling.original_context_length", int, context)
    found["original_max_position_embeddings"] = trained
    found["sliding_window"] = m.take("attention.sliding_window", int, 0, low=0) or None
    factor = m.take("rope.scaling.attn_factor", float, None)
    if any(name in f.tensors for name in _LONG.values()):
        usual = sqrt(1 + log(context / trained) / log(trained)) if context > trained else 1.0
        scaling: dict[str, Any] = {"type": "longrope"}
        scaling |= {field: f.floats(name) for field, name in _LONG.items()}
        if factor is not None and abs(factor - usual) > 1e-6:
            scaling["attention_factor"] = factor
        found["rope_scaling"] = scaling
    return found


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    line, layer, attention = common.line, common.LAYER, common.ATTENTION
    return (
        *common.ends(),
        *common.norms(),
        line("blk.{i}.attn_qkv.weight", attention + "qkv_proj.weight"),
        line("blk.{i}.attn_output.weight", attention + "o_proj.weight"),
        line("blk.{i}.ffn_up.weight", layer + "mlp.gate_up_proj.weight"),
        line("blk.{i}.ffn_down.weight", layer + "mlp.down_proj.weight"),
    )


DIALECT = Dialect("phi3", config, lines, ignore=tuple(_LONG.values()))
