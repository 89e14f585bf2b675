"""Phi-1, 1.5 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line


def config(f: Facts) -> dict[str, Any]:
    width = common.head_width(f)
    return common.sizes(f, "layer_norm_eps") | common.rope(f, width, part="partial_rotary_factor")


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    line, layer, attention = common.line, common.LAYER, common.ATTENTION
    return (
        line("token_embd.weight", "model.embed_tokens.weight"),
        line("output_norm.{w}", "model.final_layernorm.{w}"),
        line("output.{w}", "lm_head.{w}"),
        line("blk.{i}.attn_norm.{w}", layer + "input_layernorm.{w}"),
        *(line(f"blk.{{i}}.attn_{p}.{{w}}", f"{attention}{p}_proj.{{w}}") for p in "qkv"),
        line("blk.{i}.attn_output.{w}", attention + "dense.{w}"),
        line("blk.{i}.ffn_up.{w}", layer + "mlp.fc1.{w}"),
        line("blk.{i}.ffn_down.{w}", layer + "mlp.fc2.{w}"),
    )


DIALECT = Dialect("phi", config, lines)
