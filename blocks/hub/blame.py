"""Which field of config.json a block refuses, where the block has its own name for it."""

from __future__ import annotations

import re

from blocks.errors import BlocksError, ConfigError
from blocks.hub.config import Config

__all__: list[str] = []

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Other words of configs for the same thing.
_ALSO = {
    "hidden": ("intermediate", "ffn", "inner"),
    "kv": ("key", "value"),
    "depth": ("layer",),
    "dim": ("size", "model"),
    "dropout": ("drop", "pdrop", "prob"),
    "k": ("per", "tok", "topk"),
    "magnitude": ("factor",),
    "row": ("position",),
}


def as_config_error(error: BlocksError, config: Config) -> ConfigError:
    """A block's error, as one about the field that says the value it speaks of.

    A block states the value it refuses: that, and the words both names share, tell the field. Where
    nothing does, the block's own name stays.
    """
    if isinstance(error, ConfigError):
        return error
    block, _, option = (error.field or "").rpartition(".")
    called = _words(option).union(*(_ALSO.get(word, ()) for word in _words(option)))
    numbers = _NUMBER.findall(error.reason)
    best, most = error.field, 2
    for field, value in config.said().items():
        words = _words(field)
        parts = value if isinstance(value, tuple) else (value,)
        found = {str(n) for n in parts if type(n) in (int, float)}.intersection(numbers)
        stated = 0 if not found else 4 if numbers[0] in found else 3
        alike = stated + 3 * len(words & called) + len(words & _words(block))
        if alike > most:
            best, most = field, alike
    reason = error.reason if best == error.field else f"{error.field}: {error.reason}"
    return ConfigError(reason, file=config.file, field=best, hint=error.hint)


def _words(name: str) -> set[str]:
    return {word.lower().rstrip("s") for word in _WORD.findall(name)}
