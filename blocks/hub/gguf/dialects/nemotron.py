"""Nemotron and Minitron."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

_NORMS = tuple(
    common.line(held, theirs, common.LESS if held.endswith("weight") else common.KEPT)
    for w in ("weight", "bias")
    for held, theirs in (
        (f"output_norm.{w}", f"model.norm.{w}"),
        (f"blk.{{i}}.attn_norm.{w}", f"{common.LAYER}input_layernorm.{w}"),
        (f"blk.{{i}}.ffn_norm.{w}", f"{common.LAYER}post_attention_layernorm.{w}"),
    )
)

DIALECT = Dialect(
    "nemotron",
    lambda f: (
        common.sizes(f, "norm_eps")
        | common.rope(f, width := common.head_width(f), part="partial_rotary_factor")
        | {"head_dim": width}
    ),
    lambda f, fields: (*common.ends()[:2], *_NORMS, *common.attention(), *common.GATED[1:]),
)
