"""Which matrices of a model a person's patterns name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blocks.arguments import near_words
from blocks.edit import matches
from blocks.errors import SpecError, nearest
from blocks.ops.check import check_texts

__all__: list[str] = []


def chosen(known: Mapping[str, Any], on: Iterable[str]) -> list[str]:
    """Those that the names are of, in the order of the model."""
    found: set[str] = set()
    for pattern in check_texts("on", on):
        hits = [a for a in known if matches(a, pattern) or matches(a, f"**.{pattern}")]
        if not hits:
            ends = dict.fromkeys(address.rpartition(".")[2] for address in known)
            like = nearest(pattern, (*known, *ends))
            hint = near_words(pattern, (*known, *ends) if like else ends, "no matrix here is plain")
            raise SpecError(f"no matrix is {pattern!r}", field="on", hint=hint)
        found |= {*hits}
    if not found:
        raise SpecError("names no matrix", field="on", hint='such as ("q", "v", "mlp.*")')
    return [address for address in known if address in found]
