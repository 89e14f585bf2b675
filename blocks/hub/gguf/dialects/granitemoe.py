"""Granite with experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.dialects import granite
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Joined, Line

_MLP = common.LAYER + "block_sparse_moe."


def config(f: Facts) -> dict[str, Any]:
    return granite.DIALECT.config(f) | {
        "num_local_experts": f.meta.take("expert_count", int),
        "num_experts_per_tok": f.meta.take("expert_used_count", int),
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    gate, up = (f"blk.{{i}}.ffn_{part}_exps.weight" for part in ("gate", "up"))
    return (
        *common.ends(),
        *common.norms(),
        *common.attention(fields, turned=True),
        common.line("blk.{i}.ffn_gate_inp.weight", _MLP + "router.layer.weight"),
        Line((gate, up), _MLP + "input_linear.weight", Joined()),
        common.line("blk.{i}.ffn_down_exps.weight", _MLP + "output_linear.weight"),
    )


DIALECT = Dialect("granitemoe", config, lines)
