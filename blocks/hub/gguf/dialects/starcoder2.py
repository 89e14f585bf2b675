"""StarCoder 2."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "starcoder2",
    lambda f: (
        common.sizes(f, "norm_epsilon")
        | common.rope(f, common.head_width(f))
        | {"use_bias": "blk.0.attn_q.bias" in f.tensors, "sliding_window": None}
    ),
    lambda f, fields: (
        *common.ends(),
        *common.norms(),
        *common.attention(),
        common.line("blk.{i}.ffn_up.{w}", common.LAYER + "mlp.c_fc.{w}"),
        common.line("blk.{i}.ffn_down.{w}", common.LAYER + "mlp.c_proj.{w}"),
    ),
)
