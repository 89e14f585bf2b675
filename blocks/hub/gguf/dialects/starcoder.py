"""StarCoder and SantaCoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import gpt2
from blocks.hub.gguf.dialects._common import line, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line


def config(f: Facts) -> dict[str, Any]:
    kv_heads = sizes(f, "layer_norm_epsilon")["num_key_value_heads"]
    return gpt2.config(f, kv_heads) | {"multi_query": kv_heads == 1}


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    every = gpt2.MATRICES | gpt2.NORMS
    parts = (
        line(f"blk.{{i}}.{a}.{{w}}", f"transformer.h.{{i}}.{b}.{{w}}") for a, b in every.items()
    )
    return (*gpt2.ENDS, *parts)


DIALECT = Dialect("gpt_bigcode", config, lines)
