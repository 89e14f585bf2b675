"""Values against annotations: the run-time check behind every option of a Spec."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

from blocks.errors import SpecError


class FrozenMap(Mapping[str, Any]):
    """An ordered mapping that can't change, so that a Spec that holds one can be hashed."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]]):
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        # The order of a chain's steps is part of its meaning.
        return isinstance(other, Mapping) and list(self.items()) == list(other.items())

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def is_value(kind: Any) -> bool:
    """Whether a class describes a plain value (a mask, a scaling): a frozen dataclass."""
    params = getattr(kind, "__dataclass_params__", None)
    return isinstance(kind, type) and params is not None and params.frozen


def check_fields(value: Any) -> None:
    """Checks the fields of a frozen dataclass against their annotations, ints made floats."""
    from typing import get_type_hints

    hints = get_type_hints(type(value))
    for field in dataclasses.fields(value):
        try:
            after = conform(getattr(value, field.name), hints[field.name])
        except SpecError as error:
            name = f"{type(value).__name__}.{field.name}"
            raise SpecError(error.reason, field=name) from None
        object.__setattr__(value, field.name, after)


def conform(value: Any, annotation: Any, slot: Callable[[Any], Any] = lambda value: value) -> Any:
    """`value` as `annotation` wants it, or a SpecError that says what was wanted.

    Ints become floats where a float is declared, lists become tuples, mappings are frozen, and
    `slot` is applied to what stands where a callable is declared.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Union, types.UnionType):
        for choice in _exact_first(args, value):
            try:
                return conform(value, choice, slot)
            except SpecError:
                continue
        raise _wrong(value, annotation)
    if annotation is None or annotation is type(None):
        if value is None:
            return value
    elif origin is Literal:
        if value in args and type(value) in {type(a) for a in args}:
            return value
    elif origin is tuple:
        return _tuple(value, args, annotation, slot)
    elif origin in (collections.abc.Mapping, dict):
        if isinstance(value, Mapping) and all(isinstance(key, str) and key for key in value):
            return FrozenMap((key, conform(part, args[1], slot)) for key, part in value.items())
    elif origin is collections.abc.Callable or annotation is collections.abc.Callable:
        if callable(value):
            return slot(value)
    elif annotation is float:
        # NaN is not even equal to itself: no two Specs that hold it would be.
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            with suppress(OverflowError):
                return float(value)
    elif annotation is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
    elif isinstance(annotation, type):
        if isinstance(value, annotation):
            return value
    else:
        return value
    raise _wrong(value, annotation)


def _exact_first(choices: tuple[Any, ...], value: Any) -> list[Any]:
    """Choices of a union with the value's own type first: an int stays an int in `int | float`."""
    return sorted(choices, key=lambda choice: choice is not type(value))


def _tuple(value: Any, args: tuple[Any, ...], annotation: Any, slot: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(conform(part, args[0], slot) for part in value)
        if len(args) == len(value):
            return tuple(conform(part, arg, slot) for part, arg in zip(value, args, strict=True))
    raise _wrong(value, annotation)


def _wrong(value: Any, annotation: Any) -> SpecError:
    return SpecError(f"{value!r} is not {_wanted(annotation)}")


def _wanted(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in args)
    if origin is collections.abc.Callable:
        return "a block (a Spec, a class or a function of sizes)"
    if origin in (Union, types.UnionType) and type(None) not in args:
        return " or ".join(map(_wanted, args))
    return (
        annotation.__name__
        if isinstance(annotation, type)
        else str(annotation).replace("typing.", "")
    )
