"""What a decoder remembers of the sequence that it reads beside its own."""

from __future__ import annotations

from typing import Any

from blocks.attention.cross import CrossAttention
from blocks.models.places import modules

__all__: list[str] = []


def cross_values(model: Any) -> int:
    """Keys and values that a model or block keeps of each place of its source."""
    cross = [one for _, one in modules(model) if isinstance(one, CrossAttention)]
    return sum(2 * one.kv_heads * one.head_dim for one in cross)


def source_room(model: Any) -> int | None:
    """The places of a source that the positions of its reader reach to; None without a bound."""
    encoder = getattr(model, "encoder", None)
    rows = [] if encoder is None else [_rows(one) for _, one in modules(encoder)]
    return max((n for n in rows if n), default=None)


def _rows(module: Any) -> int | None:
    count = getattr(module, "rows", None)
    return count - getattr(module, "offset", 0) if type(count) is int else None
