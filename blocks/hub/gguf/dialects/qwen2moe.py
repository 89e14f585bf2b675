"""Qwen2 with experts, and one that all tokens pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line, Rowed

_MLP = common.LAYER + "mlp.shared_expert"


def config(f: Facts) -> dict[str, Any]:
    found = common.sizes(f) | common.rope(f, common.head_width(f)) | common.experts(f)
    shared = f.shape("blk.0.ffn_gate_shexp.weight")[0]
    f.meta.only("expert_shared_feed_forward_length", shared)
    return found | {"shared_expert_intermediate_size": shared, "norm_topk_prob": False}


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    return (
        *common.ends(),
        *common.norms(),
        *common.attention(),
        *common.EXPERTS,
        common.line("blk.{i}.ffn_gate_inp_shexp.weight", _MLP + "_gate.weight", Rowed()),
        *(
            common.line(f"blk.{{i}}.ffn_{part}_shexp.weight", f"{_MLP}.{part}_proj.weight")
            for part in ("gate", "up", "down")
        ),
    )


DIALECT = Dialect("qwen2_moe", config, lines)
