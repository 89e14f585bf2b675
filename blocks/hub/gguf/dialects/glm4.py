"""GLM-4 0414."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line

_NORMS = {
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_self_attn_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_mlp_layernorm",
}


def config(f: Facts) -> dict[str, Any]:
    width = common.head_width(f)
    found = common.sizes(f) | common.rope(f, width, part="partial_rotary_factor")
    return found | {"head_dim": width, "attention_bias": "blk.0.attn_q.bias" in f.tensors}


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    return (
        *common.ends(),
        *(
            common.line(f"blk.{{i}}.{held}.{{w}}", f"{common.LAYER}{theirs}.{{w}}")
            for held, theirs in _NORMS.items()
        ),
        *common.attention(),
        common.line("blk.{i}.ffn_up.weight", common.LAYER + "mlp.gate_up_proj.weight"),
        common.line("blk.{i}.ffn_down.weight", common.LAYER + "mlp.down_proj.weight"),
    )


DIALECT = Dialect("glm4", config, lines)
