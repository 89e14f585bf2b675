"""How many parts a Spec orders, counted before one of them is built."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from blocks.hub.headers import Entry
from blocks.spec import Spec, children

MOST = 500_000  # ten times what the largest public models have
_REPEATED = ("depth", "experts", "hashes")  # options that say how often something is built


def ordered(spec: Spec[Any], also: tuple[str, ...] = ()) -> int:
    """The parts of a model, each as often as the options around it say.

    Args:
        spec: the model.
        also: more options that may repeat what is inside.

    Example:
        >>> from blocks import GatedMLP, MoE, Spec
        >>> ordered(Spec(MoE, experts=8, top_k=2, expert=Spec(GatedMLP, hidden=4)))
        24
    """
    said = (spec.keywords.get(name) for name in (*_REPEATED, *also))
    times = prod(n for n in said if type(n) is int and n > 1)
    return times * (1 + sum(ordered(part, also) for *_, part in children(spec)))


def held(entries: Iterable[Entry]) -> int:
    """How many parts a file could be of, at the very most: experts may lie in one tensor."""
    return 10_000 + 16 * sum(e.shape[0] if len(e.shape) > 2 else 1 for e in entries)
