"""OLMo 2."""

from __future__ import annotations

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect

DIALECT = Dialect(
    "olmo2",
    lambda f: common.sizes(f) | common.rope(f, common.head_width(f)),
    lambda f, fields: (*common.ends(), *common.after_norms(), *common.attention(), *common.GATED),
)
