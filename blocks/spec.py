"""A Spec says which block and with which options; the sizes come from the parent that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_type_hints

from blocks.conform import conform, is_value
from blocks.errors import SpecError, nearest

__all__ = ["Slot", "Spec"]

Slot = Callable[..., Any]
"""Anything that takes the parent's sizes and returns a module: a Spec, a class, a function."""


@cache
def _options(block: Callable[..., Any]) -> Mapping[str, tuple[Any, Any]]:
    """What a Spec of `block` may set: name -> (annotation, default or inspect.Parameter.empty)."""
    parameters = list(inspect.signature(block).parameters.values())
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    named = keyword_only or [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    hints = get_type_hints(block.__init__ if isinstance(block, type) else block)
    return {p.name: (hints.get(p.name, Any), p.default) for p in named}


def _starred(block: Callable[..., Any]) -> bool:
    return any(p.kind is p.KEYWORD_ONLY for p in inspect.signature(block).parameters.values())


def _check_sizes(spec: Any, sizes: tuple[Any, ...]) -> None:
    """Refuses a block in a slot whose parent gives other sizes."""
    signature = inspect.signature(spec.func)
    try:
        signature.bind(*sizes, **spec.keywords)
    except TypeError:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        free = [p.name for p in signature.parameters.values() if p.kind in kinds]
        takes = ", ".join(name for name in free if name not in spec.keywords)
        name = getattr(spec.func, "__name__", repr(spec.func))
        reason = f"{name} is built of sizes ({takes}), and was given {sizes}"
        raise SpecError(reason, hint="it doesn't fit this slot: another block does") from None


def bare(value: Any) -> Any:
    """A bare class in a slot is the Spec of it."""
    return Spec(value) if isinstance(value, type) and not is_value(value) else value


def _resolve(block: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Every option of `block` with its value: checked, and defaults filled in."""
    name = getattr(block, "__name__", repr(block))
    options = _options(block)
    for key in given:
        if key not in options:
            near = nearest(key, options)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"it has {', '.join(options) or 'none'}"
            )
            raise SpecError(f"{name} has no option {key!r}", field=key, hint=hint)
    resolved = {}
    for key, (annotation, default) in options.items():
        if key not in given and default is inspect.Parameter.empty:
            if _starred(block):
                raise SpecError(f"{name} needs a value for {key!r}", field=key)
            continue
        value = given.get(key, default)
        try:
            resolved[key] = conform(value, annotation, slot=bare)
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
            return (_making.get() or build)(self, sizes)

        def __setattr__(self, name, value):
            raise SpecError("a Spec can't be changed", field=name, hint="use blocks.replace")

        def __delattr__(self, name):
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


Made = Callable[[Any, tuple[Any, ...]], Any]
_making: ContextVar[Made | None] = ContextVar("making", default=None)


def build(spec: Any, sizes: tuple[Any, ...]) -> Any:
    """What a Spec is called for."""
    try:
        made = spec.func(*sizes, **spec.keywords)
    except TypeError:
        _check_sizes(spec, sizes)
        raise
    if (log := _building.get()) is not None:
        log.append((made, spec, sizes))
    return made


@contextmanager
def making(make: Made) -> Iterator[None]:
    """Calls `make` for every Spec inside it, in the place of `build`."""
    token = _making.set(make)
    try:
        yield
    finally:
        _making.reset(token)


def log_of() -> list[tuple[Any, Any, tuple[int, ...]]] | None:
    """The notes of the innermost `building`, to which more can be added."""
    return _building.get()


@contextmanager
def building() -> Iterator[list[tuple[Any, Any, tuple[int, ...]]]]:
    """Notes every (module, Spec, sizes) built inside it: how to build a part once more."""
    log: list[tuple[Any, Any, tuple[int, ...]]] = []
    token = _building.set(log)
    try:
        yield log
    finally:
        _building.reset(token)


def is_spec(value: Any) -> bool:
    """Whether `value` is a Spec (which checkers, who see a partial, can't be asked)."""
    return isinstance(value, Spec)


def check_spec(value: Any, field: str = "spec") -> Any:
    """Refuses what is no Spec."""
    if not isinstance(value, Spec):
        built = f"a {type(value).__name__}"
        hint = "model.spec is one" if hasattr(value, "spec") else "Spec(Block, option=...) is one"
        raise SpecError(f"{built} is no Spec", field=field, hint=hint)
    return value


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
            texts = [
                f"({show(r[0])},) * {len(r)}" if len(r) > 1 else f"({show(r[0])},)" for r in runs
            ]
            return " + ".join(texts)
    return repr(value)


def children(spec: Spec[Any]) -> Iterator[tuple[str, str, Any, Spec[Any]]]:
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
    for address, _, _, part in children(spec):
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
