"""Seed-OSS."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

_SECOND = "blk.{i}.post_attention_norm.{w}"

DIALECT = Dialect(
    "seed_oss",
    lambda f: (
        common.sizes(f)
        | common.rope(f, width := common.head_width(f))
        | {
            "head_dim": width,
            "attention_bias": "blk.0.attn_q.bias" in f.tensors,
            "attention_out_bias": "blk.0.attn_output.bias" in f.tensors,
            "mlp_bias": "blk.0.ffn_gate.bias" in f.tensors,
        }
    ),
    lambda f, fields: (
        *common.ends(),
        common.norms()[0],
        common.line(_SECOND, common.LAYER + "post_attention_layernorm.{w}"),
        *common.attention(),
        *common.GATED,
    ),
)
