"""Names of modules as `quantization_config` gives them: whole ones, parts, wildcards, patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from blocks.hub.config import Config

__all__: list[str] = []

_LONGEST = 500
# A piece that fits many characters, any number of times: three of them can be tried in no time.
_WIDE = re.compile(r"(?:\.|\\[wWSD]|\[[^\]]*\])[*+{]")
_NESTED = re.compile(r"\)[*+{]|[*+}][*+{]")
_MOST_WIDE = 3
_MOST = 10  # of all that may be repeated


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class Names:
    """Names that a config gives, each of a module or of one that it is a part of.

    Args:
        names: whole ones or parts of one (`mlp.gate`), with wildcards (`model.layers.*.self_attn`),
            or patterns (`re:.*gate$`).

    Example:
        >>> names = Names(["lm_head", "mlp.gate", "model.layers.*.self_attn", "re:.*visual.*"])
        >>> names.of("model.layers.3.self_attn.q_proj")
        'model.layers.*.self_attn'
        >>> names.of("model.layers.0.mlp.gate"), names.of("model.layers.0.mlp.gate_proj")
        ('mlp.gate', None)
    """

    def __init__(self, names: Iterable[str]):
        self.names = tuple(names)
        self._special = tuple(name for name in self.names if _is_special(name))
        self._plain = frozenset(self.names) - frozenset(self._special)

    def of(self, module: str) -> str | None:
        """The name that means this module; None if none does."""
        if self._plain:
            parts = module.split(".")
            for start in range(len(parts)):
                for end in range(start + 1, len(parts) + 1):
                    if (part := ".".join(parts[start:end])) in self._plain:
                        return part
        return next((name for name in self._special if _covers(name, module)), None)


def _is_special(name: str) -> bool:
    return name.startswith("re:") or "*" in name or "?" in name


def _covers(name: str, module: str) -> bool:
    if name == "*":
        return True
    if name.startswith("re:"):
        return _compiled(name[3:]).match(module) is not None
    parts = module.split(".")
    return any(fnmatchcase(".".join(parts[:end]), name) for end in range(1, len(parts) + 1))


def check_name(c: Config, field: str, name: str) -> str:
    """The same name, if it is one: a pattern must be readable and quickly tried."""
    if len(name) > _LONGEST:
        raise c.error(field, f"holds a name of {len(name)} characters")
    pattern = name.removeprefix("re:")
    if pattern == name:
        if name.count("*") > _MOST:
            raise c.error(field, f"{name!r} has too many wildcards to be tried")
        return name
    try:
        _compiled(pattern)
    except re.error as error:
        raise c.error(field, f"{name!r} is no pattern: {error}") from None
    many = len(re.findall(r"[*+{]", pattern)) > _MOST
    if many or len(_WIDE.findall(pattern)) > _MOST_WIDE or _NESTED.search(pattern):
        raise c.error(field, f"{name!r} is too intricate a pattern to be tried")
    return name
