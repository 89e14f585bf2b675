"""gpt-oss, whose experts' gates and ways up were taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Interleaved, Line, Turnover

_MLP = common.LAYER + "mlp."
_GATE_UP = ("blk.{i}.ffn_gate_exps.", "blk.{i}.ffn_up_exps.")


def config(f: Facts) -> dict[str, Any]:
    m, width = f.meta, common.head_width(f)
    found: dict[str, Any] = common.sizes(f) | common.rope(f, width, 150_000.0) | {"head_dim": width}
    if "rope_scaling" in found:
        found["rope_scaling"]["truncate"] = False
    found["intermediate_size"] = f.shape("blk.0.ffn_down_exps.weight")[-1]
    m.only("expert_feed_forward_length", found["intermediate_size"])
    return found | {
        "num_local_experts": m.take("expert_count", int),
        "num_experts_per_tok": m.take("expert_used_count", int),
        "sliding_window": m.take("attention.sliding_window", int),
        "layer_types": common.layer_kinds(f, 2),
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    line = common.line
    return (
        *common.ends(),
        common.norms()[0],
        line(
            "blk.{i}.post_attention_norm.weight", common.LAYER + "post_attention_layernorm.weight"
        ),
        *common.attention(),
        line("blk.{i}.attn_sinks.weight", common.ATTENTION + "sinks"),
        line("blk.{i}.ffn_gate_inp.{w}", _MLP + "router.{w}"),
        Line(tuple(n + "weight" for n in _GATE_UP), _MLP + "experts.gate_up_proj", Interleaved()),
        Line(
            tuple(n + "bias" for n in _GATE_UP), _MLP + "experts.gate_up_proj_bias", Interleaved()
        ),
        line("blk.{i}.ffn_down_exps.weight", _MLP + "experts.down_proj", Turnover()),
        line("blk.{i}.ffn_down_exps.bias", _MLP + "experts.down_proj_bias"),
    )


DIALECT = Dialect("gpt_oss", config, lines)
