"""A Spec says which block and with which options; the sizes come from the parent that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_type_hints

from blocks.conform import FrozenMap, conform, is_value
from blocks.errors import SpecError

__all__ = ["Slot", "Spec", "at", "replace", "rewrite", "walk"]

Slot = Callable[..., Any]
"""Anything that takes the parent's sizes and returns a module: a Spec, a class, a function."""


@lru_cache(maxsize=None)
def _options(block: Callable[..., Any]) -> Mapping[str, tuple[Any, Any]]:
    """What a Spec of `block` may set: name -> (annotation, default or inspect.Parameter.empty)."""
    parameters = list(inspect.signature(block).parameters.values())
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    named = keyword_only or [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    hints = get_type_hints(block.__init__ if isinstance(block, type) else block)
    return {p.name: (hints.get(p.name, Any), p.default) for p in named}


def _starred(block: Callable[..., Any]) -> bool:
    return any(p.kind is p.KEYWORD_ONLY for p in inspect.signature(block).parameters.values())


def _bare(value: Any) -> Any:
    """A bare class in a slot is the Spec of it."""
    return Spec(value) if isinstance(value, type) and not is_value(value) else value


def _resolve(block: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Every option of `block` with its value: checked, and defaults filled in."""
    name = getattr(block, "__name__", repr(block))
    options = _options(block)
    for key in given:
        if key not in options:
            near = get_close_matches(key, options, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(options) or 'none'}"
            raise SpecError(f"{name} has no option {key!r}", field=key, hint=hint)
    resolved = {}
    for key, (annotation, default) in options.items():
        if key not in given and default is inspect.Parameter.empty:
            if _starred(block):
                raise SpecError(f"{name} needs a value for {key!r}", field=key)
            continue
        value = given.get(key, default)
        try:
            resolved[key] = conform(value, annotation, slot=_bare)
        except SpecError as error:
            raise SpecError(f"{name}: {error.reason}", field=f"{name}.{key}") from None
    return resolved


if TYPE_CHECKING:
    # Checkers know partial: they verify a Spec's options against the block's signature.
    from functools import partial as Spec
else:

    class Spec:
        """A block and its options, waiting for sizes: frozen, comparable, hashable, printable.

        `Spec(GQAttention, heads=8)(512)` is `GQAttention(512, heads=8)`. Options are checked the
        moment the Spec is made and defaults are filled in, so equal Specs build equal modules.

        Args:
            func: the block: a class or function whose arguments before the star are the sizes
                that a parent decides and after the star the options.
            **keywords: options.

        Errors:
            SpecError: an unknown option (the nearest name is shown), a missing one, a wrong type,
                or two parts that would get the same address.

        Example:
            >>> from blocks import GatedMLP, Spec
            >>> mlp = Spec(GatedMLP, hidden=64)
            >>> mlp
            Spec(GatedMLP, hidden=64)
            >>> mlp(16).down.weight.shape
            torch.Size([16, 64])
            >>> mlp == Spec(GatedMLP, hidden=64, act="silu")
            True
        """

        __slots__ = ("_hash", "func", "keywords")

        def __init__(self, func, /, **keywords):
            if not callable(func) or isinstance(func, Spec):
                raise SpecError(f"a Spec is made of a block class, not of {func!r}")
            object.__setattr__(self, "func", func)
            object.__setattr__(self, "keywords", MappingProxyType(_resolve(func, keywords)))
            object.__setattr__(self, "_hash", hash((func, tuple(self.keywords.items()))))
            _unique_addresses(self)

        def __call__(self, *sizes):
            made = self.func(*sizes, **self.keywords)
            log = _building.get()
            if log is not None:
                log.append((made, self, sizes))
            return made

        def __setattr__(self, name, value):
            raise SpecError("a Spec can't be changed", field=name, hint="use blocks.replace")

        def __eq__(self, other):
            if not isinstance(other, Spec):
                return NotImplemented
            return self is other or (
                self._hash == other._hash
                and self.func is other.func
                and self.keywords == other.keywords
            )

        def __hash__(self):
            return self._hash

        def __reduce__(self):
            return _remake, (self.func, dict(self.keywords))

        def __repr__(self):
            given = (
                f"{key}={show(value)}"
                for key, value in self.keywords.items()
                if value != _options(self.func)[key][1]
            )
            return f"Spec({', '.join([self.func.__name__, *given])})"


_building: ContextVar[list[tuple[Any, Any, tuple[int, ...]]] | None] = ContextVar(
    "building", default=None
)


@contextmanager
def building() -> Iterator[list[tuple[Any, Any, tuple[int, ...]]]]:
    """Notes every (module, Spec, sizes) built inside it: how to build a part once more."""
    log: list[tuple[Any, Any, tuple[int, ...]]] = []
    token = _building.set(log)
    try:
        yield log
    finally:
        _building.reset(token)


def _remake(func: Callable[..., Any], keywords: dict[str, Any]) -> Spec[Any]:
    return Spec(func, **keywords)


def show(value: Any) -> str:
    """`value` as it is typed, with runs of equal parts of a tuple folded: (a,) * 32."""
    if isinstance(value, tuple) and len(value) > 2:
        runs: list[list[Any]] = []
        for part in value:
            if runs and runs[-1][0] == part:
                runs[-1].append(part)
            else:
                runs.append([part])
        if len(runs) < len(value):
            texts = [f"({show(r[0])},) * {len(r)}" if len(r) > 1 else f"({show(r[0])},)" for r in runs]
            return " + ".join(texts)
    return repr(value)


def _children(spec: Spec[Any]) -> Iterator[tuple[str, str, Any, Spec[Any]]]:
    """Parts of a Spec: (address within it, option, key within the option, part)."""
    through = getattr(spec.func, "transparent", None)
    for option, value in spec.keywords.items():
        if isinstance(value, Spec):
            yield ("" if option == through else option), option, None, value
        elif isinstance(value, tuple):
            for i, part in enumerate(value):
                if isinstance(part, Spec):
                    yield f"{option}.{i}", option, i, part
        elif isinstance(value, Mapping):
            for name, part in value.items():
                if isinstance(part, Spec):
                    yield name, option, name, part


def _direct_addresses(spec: Spec[Any]) -> Iterator[str]:
    for address, _, _, part in _children(spec):
        if address:
            yield address
        else:
            yield from _direct_addresses(part)


def _unique_addresses(spec: Spec[Any]) -> None:
    seen: set[str] = set()
    for address in _direct_addresses(spec):
        if address in seen:
            raise SpecError(f"two parts of {spec.func.__name__} would have the address {address!r}")
        seen.add(address)


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
    yield address, spec
    for name, _, _, part in _children(spec):
        yield from walk(part, _join(address, name))


def _nearest(spec: Spec[Any], where: str) -> str:
    known = dict.fromkeys(address for address, _ in walk(spec) if address)
    near = get_close_matches(where, known, n=3, cutoff=0.3) or list(known)[:3]
    return f"the nearest are {', '.join(near)}" if near else "it has no parts"


def at(spec: Spec[Any], address: str) -> Spec[Any]:
    """The part of `spec` at `address`: the block itself, not the `Residual` around it.

    Errors:
        SpecError: there is no such part; the nearest addresses are shown.

    Example:
        >>> from blocks import Chain, MLP, Spec, at
        >>> at(Spec(Chain, steps={"mlp": Spec(MLP, hidden=8)}), "mlp")
        Spec(MLP, hidden=8)
    """
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
    return Spec(spec.func, **{**spec.keywords, **changes})


def matches(address: str, pattern: str) -> bool:
    """Whether an address fits a pattern: `*` stands for one segment's text, `**` for any address."""
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
        return _bare(new) if new is None or isinstance(new, Spec | type) else _bare(new(part))

    def hit(part: Spec[Any], address: str) -> bool:
        if isinstance(where, str):
            return not hasattr(part.func, "transparent") and matches(address, where)
        return part.func is where

    def visit(part: Spec[Any], address: str) -> Any:
        if hit(part, address):
            return change(part)
        changes: dict[str, dict[Any, Any]] = {}
        for name, option, key, child in _children(part):
            after = visit(child, _join(address, name))
            if after is not child:
                changes.setdefault(option, {})[key] = after
        return replace(part, **_edited(part, changes)) if changes else part

    if not isinstance(where, str | type):
        raise SpecError(f"where is a block class or an address, not {where!r}", field="where")
    result = visit(spec, "")
    if not found:
        name = where if isinstance(where, str) else where.__name__
        raise SpecError(f"nothing matches {name!r}", field="where", hint=_nearest(spec, name))
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
            options[option] = tuple(v for i, v in enumerate(after) if v is not None or i not in edits)
        else:
            options[option] = edits[None]
    return options
