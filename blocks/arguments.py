"""Checks of what a function is called with, before anything else meets it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from blocks.errors import BlocksError, SpecError, nearest, printable

__all__: list[str] = []

_ALL = 12  # names of a list that are shown as a whole

Kind = TypeVar("Kind")
Error = type[BlocksError]


def near_words(name: object, known: Iterable[str], instead: str | None = None) -> str | None:
    """The words of a hint: the known names most like a wrong one, else all of a few.

    Args:
        name: the wrong one.
        known: all that there are.
        instead: the hint where none is like it, and there are too many to show.
    """
    known = list(known)
    if near := nearest(name, known, 3):
        return f"the nearest are {', '.join(near)}"
    if len(known) > _ALL:
        return instead or f"such as {', '.join(known[:3])}"
    return f"known: {', '.join(known)}" if known else instead


def check_kind(
    value: object, kind: type[Kind], field: str, wanted: str, *, error: Error = SpecError
) -> Kind:
    """Refuses what isn't of a class; `wanted` says in words what is."""
    if not isinstance(value, kind):
        raise error(f"{_named(value)} is no {wanted}", field=field)
    return value


def check_text(value: object, field: str, error: Error = SpecError) -> str:
    """Refuses what is no text."""
    return check_kind(value, str, field, "text", error=error)


def check_whole(value: object, field: str, least: int = 1, error: Error = SpecError) -> int:
    """Refuses what is no whole number, and one that is too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        reason = f"{_named(value)} is no whole number of {least} or more"
        raise error(reason, field=field)
    return value


def check_choice(
    value: object, known: Collection[str], field: str, wanted: str, *, error: Error = SpecError
) -> Any:
    """Refuses a name that is none of those that are known, with the nearest of them."""
    if not isinstance(value, str) or value not in known:
        reason = f"{_named(value)} is no {wanted}"
        raise error(reason, field=field, hint=near_words(value, known))
    return value


def _named(value: object) -> str:
    """A value as one types it where that is short, else what it is."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return printable(repr(value), 80)
    return f"a {type(value).__name__}"
