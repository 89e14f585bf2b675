"""What the readers of `quantization_config` share, and the words in which they say it."""

from __future__ import annotations

from typing import Any

from blocks.hub.config import Config
from blocks.hub.quantised.naming import check_name

__all__: list[str] = []

_LOWEST = -(2**47)


def harmless(c: Config, *names: str) -> None:
    """Reads fields that change no value."""
    for name in names:
        c.take(name, Any, None, low=_LOWEST)


def read_group(c: Config, name: str = "group_size") -> int | None:
    """How many inputs share a scale; None, in files −1, is all."""
    size = c.take(name, int, low=-1)
    if size == 0:
        raise c.error(name, "a group of 0 inputs can't be")
    return None if size == -1 else size


def read_plain(c: Config, name: str, *aliases: str) -> tuple[str, ...]:
    """Names of the modules that are said to be left as they are."""
    names = c.take(name, tuple[str, ...], None, aliases=aliases) or ()
    return tuple(check_name(c, name, one) for one in names)


def groups_of(size: int | None) -> str:
    """In words."""
    return f"groups of {size}" if size else "one scale an output"
