"""Lineage: which part of a changed Spec was which, and which of its tensors are still shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from blocks.carry.carrying import Carried
from blocks.edit import walk
from blocks.models.places import spread
from blocks.spec import Spec, children, is_spec

__all__: list[str] = []

Pair = tuple[str, str]


def distinct(spec: Spec[Any]) -> Spec[Any]:
    """An equal Spec no two of whose parts are one object, so that an edit leaves traces."""
    return Spec(spec.func, **{key: _distinct(value) for key, value in spec.keywords.items()})


def _distinct(value: Any) -> Any:
    if is_spec(value):
        return distinct(value)
    if isinstance(value, Mapping):
        return {key: _distinct(part) for key, part in value.items()}
    return tuple(map(_distinct, value)) if isinstance(value, tuple) else value


def moved(before: Spec[Any], after: Spec[Any], home: str = "", place: str = "") -> dict[str, str]:
    """New address -> old address of all in tuples that an edit of a `distinct` Spec cut or grew."""
    found: dict[str, str] = {}
    olds = {(option, key): (name, part) for name, option, key, part in children(before)}
    for option, many in _tuples(before).items():
        new = _tuples(after).get(option, many)
        if len(new) != len(many):
            origins = _origins(many, new)
            for i, origin in origins.items():
                found[_join(place, f"{option}.{i}")] = _join(home, f"{option}.{origin}")
    for name, option, key, part in children(after):
        origin = found.get(_join(place, name))
        there = olds.get((option, key))
        if origin is not None:
            there = olds.get((option, int(origin.rpartition(".")[2])))
        if there is not None and there[1] is not part:
            found |= moved(there[1], part, _join(home, there[0]), _join(place, name))
    return found


def _tuples(spec: Spec[Any]) -> dict[str, tuple[Any, ...]]:
    values = spec.keywords.items()
    return {key: v for key, v in values if isinstance(v, tuple) and any(map(is_spec, v))}


def _origins(before: Sequence[Any], after: Sequence[Any]) -> dict[int, int]:
    """Which of some parts each of others was made of: what has most of its own parts in it."""
    inside = [{id(part) for _, part in walk(one)} if is_spec(one) else set() for one in before]
    found: dict[int, int] = {}
    for i, one in enumerate(after):
        parts = {id(part) for _, part in walk(one)} if is_spec(one) else set()
        shares = [len(parts & those) for those in inside]
        if shares and max(shares):
            found[i] = shares.index(max(shares))
    return found


def _join(address: str, name: str) -> str:
    return f"{address}.{name}".strip(".")


def ties_that_hold(
    asked: Sequence[Pair],
    before: Sequence[Pair],
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    carried: Mapping[str, Carried],
) -> tuple[Pair, ...]:
    """The ties of a changed model: those that were before hold where both sides are still equal.

    A tie that the edit has set is taken as it is. Where a block is no longer what it shared with
    others, its tensors go on sharing as far as they can, and where the source is gone, the first
    of those that shared it takes its place.

    Args:
        asked: the ties that the new Spec says.
        before: those that the old one had.
        old, new: tensors by address.
        carried: what the new tensors are.
    """

    def equal(one: str, other: str) -> bool:
        if one not in new or other not in new or new[one].shape != new[other].shape:
            return False
        a, b = carried.get(one), carried.get(other)
        if a is None or b is None:
            return a is b
        return a.tensor is b.tensor or torch.equal(a.tensor, b.tensor)

    held: list[Pair] = []
    loose: dict[str, list[str]] = {}
    for pair in asked:
        parts = spread(pair, new)
        whole = bool(parts) and [p for p, _ in parts] == [p for p, _ in spread(pair, old)]
        if pair not in before or (whole and all(equal(*part) for part in parts)):
            held.append(pair)
            continue
        for place, source in spread(pair, old):
            loose.setdefault(source, [source]).append(place)
    for group in loose.values():
        first: str | None = None
        for place in group:
            if first is not None and equal(place, first):
                held.append((place, first))
            elif first is None and place in new:
                first = place
    return tuple(held)
