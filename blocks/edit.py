"""Edits of a Spec: free functions that give a new one, so that checkers see Spec as a partial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from blocks.arguments import check_text, near_words
from blocks.conform import FrozenMap
from blocks.errors import SpecError
from blocks.spec import Spec, bare, check_spec, children

__all__ = ["at", "replace", "rewrite", "walk"]


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def walk(spec: Spec[Any], address: str = "") -> Iterator[tuple[str, Spec[Any]]]:
    """Every part of a Spec with its address, parents first.

    A `Residual` and what it wraps share one address, the wrapper first.

    Example:
        >>> from blocks import Chain, MLP, Residual, RMSNorm, Spec, walk
        >>> layer = Spec(Chain, steps={"mlp": Spec(Residual, inner=Spec(MLP, hidden=8),
        ...                                        norm_in=RMSNorm)})
        >>> [(address, part.func.__name__) for address, part in walk(layer)]
        [('', 'Chain'), ('mlp', 'Residual'), ('mlp', 'MLP'), ('mlp.norm_in', 'RMSNorm')]
    """
    check_text(address, "address")
    yield address, check_spec(spec)
    for name, _, _, part in children(spec):
        yield from walk(part, _join(address, name))


def stacks_of(spec: Spec[Any]) -> dict[str, tuple[Spec[Any], ...]]:
    """The layers of a model: its own, and those of its halves or stages by their addresses."""
    parts = {"": spec, **{address: part for address, _, _, part in children(spec)}}
    found = {address: part.keywords.get("layers", ()) for address, part in parts.items()}
    return {address: layers for address, layers in found.items() if layers}


def layers_of(spec: Spec[Any]) -> tuple[Spec[Any], ...]:
    """All of those, one stack after the other."""
    return tuple(layer for stack in stacks_of(spec).values() for layer in stack)


def _nearest(spec: Spec[Any], where: str) -> str:
    known = dict.fromkeys(address for address, _ in walk(spec) if address)
    near = get_close_matches(where, known, n=3, cutoff=0.3)
    if near:
        return f"the nearest are {', '.join(near)}"
    return near_words("", known) or "it has no parts"


def _there(spec: Spec[Any], where: str | type) -> str:
    """What there is instead of an address or a class that nothing matches."""
    if isinstance(where, str):
        return _nearest(spec, where)
    kinds = dict.fromkeys(getattr(part.func, "__name__", "?") for _, part in walk(spec))
    return f"there are {', '.join(kinds)}"


def at(spec: Spec[Any], address: str) -> Spec[Any]:
    """The part of `spec` at `address`: the block itself, not the `Residual` around it.

    Errors:
        SpecError: there is no such part; the nearest addresses are shown.

    Example:
        >>> from blocks import Chain, MLP, Spec, at
        >>> at(Spec(Chain, steps={"mlp": Spec(MLP, hidden=8)}), "mlp")
        Spec(MLP, hidden=8)
    """
    check_text(address, "address")
    found = [part for place, part in walk(spec) if place == address]
    if not found:
        raise SpecError(f"no part at {address!r}", field=address, hint=_nearest(spec, address))
    return found[-1]


def replace(spec: Spec[Any], /, **changes: Any) -> Spec[Any]:
    """`spec` with some options changed, checked like any Spec.

    Example:
        >>> from blocks import GQAttention, Spec, replace
        >>> replace(Spec(GQAttention, heads=8), kv_heads=2)
        Spec(GQAttention, heads=8, kv_heads=2)
    """
    check_spec(spec)
    return Spec(spec.func, **{**spec.keywords, **changes})


def matches(address: str, pattern: str) -> bool:
    """Whether an address fits a pattern: `*` is any text in a segment, `**` any segments."""
    return _fits(address.split("."), pattern.split("."))


def _fits(segments: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not segments
    if patterns[0] == "**":
        return any(_fits(segments[i:], patterns[1:]) for i in range(len(segments) + 1))
    return (
        bool(segments)
        and fnmatchcase(segments[0], patterns[0])
        and _fits(segments[1:], patterns[1:])
    )


def rewrite(spec: Spec[Any], where: str | type, new: Any) -> Spec[Any]:
    """`spec` with every part that `where` names changed: the edit that reaches a whole model.

    Args:
        spec: the whole.
        where: a block class, or an address with wildcards such as `"layers.*.attention"`
            (`*` is one segment, `**` any number). An address names the block itself, never the
            `Residual` around it.
        new: a Spec, a class, a function from the old Spec to the new one, or None, which takes a
            part out of a tuple or empties an optional slot.

    Errors:
        SpecError: nothing matches (the nearest addresses are shown), or the result can't be.

    Example:
        >>> from blocks import Chain, GatedMLP, MLP, Spec, rewrite
        >>> layer = Spec(Chain, steps={"mlp": Spec(MLP, hidden=8)})
        >>> at(rewrite(layer, MLP, lambda mlp: Spec(GatedMLP, hidden=16)), "mlp")
        Spec(GatedMLP, hidden=16)
    """
    found = False

    def change(part: Spec[Any]) -> Any:
        nonlocal found
        found = True
        return bare(new) if new is None or isinstance(new, Spec | type) else bare(new(part))

    def hit(part: Spec[Any], address: str) -> bool:
        if isinstance(where, str):
            return not hasattr(part.func, "transparent") and matches(address, where)
        return part.func is where

    def visit(part: Spec[Any], address: str) -> Any:
        if hit(part, address):
            return change(part)
        changes: dict[str, dict[Any, Any]] = {}
        for name, option, key, child in children(part):
            after = visit(child, _join(address, name))
            if after is not child:
                changes.setdefault(option, {})[key] = after
        return replace(part, **_edited(part, changes)) if changes else part

    if not (new is None or callable(new)):
        raise SpecError(f"new is a Spec, a class, a function or None, not {new!r}", field="new")
    if not isinstance(where, str | type):
        raise SpecError(f"where is a block class or an address, not {where!r}", field="where")
    result = visit(check_spec(spec), "")
    if not found:
        name = where if isinstance(where, str) else where.__name__
        raise SpecError(f"nothing matches {name!r}", field="where", hint=_there(spec, where))
    return result


def _edited(part: Spec[Any], changes: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    """The options of `part` with some of their parts exchanged; None leaves a tuple or mapping."""
    options: dict[str, Any] = {}
    for option, edits in changes.items():
        old = part.keywords[option]
        if isinstance(old, Mapping):
            after = {name: edits.get(name, value) for name, value in old.items()}
            options[option] = FrozenMap((k, v) for k, v in after.items() if v is not None)
        elif isinstance(old, tuple):
            after = [edits.get(i, value) for i, value in enumerate(old)]
            options[option] = tuple(
                v for i, v in enumerate(after) if v is not None or i not in edits
            )
        else:
            options[option] = edits[None]
    return options
