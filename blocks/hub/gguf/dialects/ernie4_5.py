"""ERNIE 4.5 without experts."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.dialects import qwen2
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "ernie4_5",
    lambda f: (
        common.sizes(f)
        | common.rope(f, width := common.head_width(f))
        | {"head_dim": width, "use_bias": "blk.0.attn_output.bias" in f.tensors}
    ),
    qwen2.DIALECT.lines,
)
