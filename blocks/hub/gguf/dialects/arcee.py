"""Arcee's AFM: LLaMA with a plain MLP of squared ReLU."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "arcee",
    lambda f: common.sizes(f) | common.rope(f, width := common.head_width(f)) | {"head_dim": width},
    lambda f, fields: (
        *common.ends(),
        *common.norms(),
        *common.attention(fields, turned=True),
        *common.GATED[1:],
    ),
    ignore=("rope_freqs.weight",),
)
