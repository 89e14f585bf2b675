"""SmolLM3, of whose layers every fourth has no RoPE."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "smollm3",
    lambda f: (
        common.sizes(f) | common.rope(f, common.head_width(f)) | {"no_rope_layer_interval": 4}
    ),
    lambda f, fields: (
        *common.ends(),
        *common.norms(),
        *common.attention(fields, turned=True),
        *common.GATED,
    ),
)
