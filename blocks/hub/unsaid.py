"""Which part of a model a family has no words for, found without a config of the model's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

from blocks.edit import replace, rewrite, walk
from blocks.errors import BlocksError
from blocks.families import family_of, model_types
from blocks.hub.config import REQUIRED, Config
from blocks.hub.family import Family
from blocks.spec import Spec, is_spec, show

__all__: list[str] = []

# What a family's writer meets where a model has no part or value that it asks for.
SPEECHLESS = (BlocksError, LookupError, TypeError, AttributeError, ValueError, StopIteration)
_OLDEST = {"transformers_version": "4.0.0"}  # in such a file any field may be absent
_GUESS: dict[Any, Any] = {int: 64, float: 1.0, bool: False, str: ""}
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")

Change = Callable[[Any], Any]
Part = tuple[list[str], Change]  # what is there in words, and what puts the usual thing there


class _Guessed(Config):
    """A config in which every field that must be there is there."""

    def take(self, name: str, kind: Any, default: Any = REQUIRED, **how: Any) -> Any:
        guess = 8 if kind is int and "layer" in name else _GUESS.get(kind)
        return super().take(name, kind, guess if default is REQUIRED else default, **how)


@cache
def usual(model_type: str) -> Spec[Any]:
    """A model of a family, as it takes absent fields: which blocks it has, and where."""
    family = family_of(model_type)
    return family.spec(_Guessed({**_OLDEST, **family.shortest}))


def unsaid(family: Family, spec: Spec[Any]) -> list[str]:
    """What keeps a family from writing a model, place by place; nothing where that can't be told.

    What differs from the family's usual model is exchanged for what stands there, blocks first and
    then options: what must be exchanged for the family to write it, that it had no words for.
    """
    theirs = usual(family.model_type)
    parts = [*_blocks(spec, theirs), *_options(spec, theirs)]
    said = _is_read if _is_written(family, spec) else _is_written
    needed: list[str] = []
    for _ in parts:
        trial = spec
        for words, change in parts:
            trial = change(trial)
            if said(family, trial):
                needed += words
                spec = change(spec)
                break
        else:
            return _missing(spec, theirs)
        if said(family, spec):
            break
    return needed


def likest(spec: Spec[Any]) -> Family:
    """The family whose usual model has the most of a model's blocks in the same places."""
    ours = _kinds(spec)

    def alike(model_type: str) -> int:
        theirs = _kinds(usual(model_type))
        same = sum(part.func is theirs[form].func for form, part in ours.items() if form in theirs)
        return 2 * same - len(theirs)

    return family_of(max(model_types(), key=alike))


def _is_written(family: Family, spec: Spec[Any]) -> bool:
    try:
        family.config(spec)
    except SPEECHLESS:
        return False
    return True


def _is_read(family: Family, spec: Spec[Any]) -> bool:
    try:
        family.spec(Config(family.config(spec)))
    except SPEECHLESS:
        return False
    return True


def _kinds(spec: Spec[Any]) -> dict[str, Spec[Any]]:
    """The first block at each kind of place, such as `layers.*.attention`."""
    found: dict[str, Spec[Any]] = {}
    for address, part in _shown(spec):
        found.setdefault(_NUMBER.sub("*", address), part)
    return found


def _shown(spec: Spec[Any]) -> Iterator[tuple[str, Spec[Any]]]:
    return ((a, part) for a, part in walk(spec) if not hasattr(part.func, "transparent"))


def _missing(spec: Spec[Any], theirs: Spec[Any]) -> list[str]:
    """Places where the family has a block and the model has none."""
    ours, there = _kinds(spec), _kinds(theirs)
    lacks = [form for form in there if form not in ours]
    tops = [form for form in lacks if form.rpartition(".")[0] not in lacks]
    return [f"it has no {form}, which is {there[form].func.__name__}" for form in tops]


def _exchange(spec: Spec[Any], where: Any, new: Any) -> Spec[Any]:
    """`rewrite`, or the same Spec where what comes out of it can't be."""
    try:
        return rewrite(spec, where, new)
    except BlocksError:
        return spec


def _blocks(spec: Spec[Any], theirs: Spec[Any]) -> list[Part]:
    """Blocks of another class than the family has in that place."""
    kinds, found, within = _kinds(theirs), list[Part](), list[str]()
    for form, part in _kinds(spec).items():
        other = kinds.get(form)
        if other is None or other.func is part.func or form.startswith(tuple(within)):
            continue
        within.append(f"{form}.")
        there = _places(spec, form, lambda one, k=other.func: one.func is not k)
        name = other.func.__name__
        words = [f"{at or 'the model'} is {one.func.__name__}, not {name}" for at, one in there]
        found.append((words, lambda s, f=form, o=other: _exchange(s, f, o)))
    return found


def _options(spec: Spec[Any], theirs: Spec[Any]) -> list[Part]:
    """Options with another value, of the same blocks, the innermost first; then of wrappers."""
    kinds, found = _kinds(theirs), list[Part]()
    for form, part in sorted(_kinds(spec).items(), key=lambda one: -one[0].count(".")):
        if form in kinds and kinds[form].func is part.func:
            found += _of_one(spec, form, part, kinds[form])
    wrappers = {p.func: p for _, p in walk(theirs) if hasattr(p.func, "transparent")}
    for kind, other in wrappers.items():
        mine = next((p for _, p in walk(spec) if p.func is kind), None)
        if mine is not None:
            found += _of_one(spec, kind, mine, other)
    return found


def _of_one(spec: Spec[Any], where: Any, ours: Spec[Any], theirs: Spec[Any]) -> Iterator[Part]:
    for option, value in ours.keywords.items():
        usual = theirs.keywords[option]
        now, then = _short(value), _short(usual)
        if value == usual or now == then or (is_spec(value) and is_spec(usual)):
            continue
        same = _places(spec, where, lambda one, o=option, v=value: one.keywords.get(o) == v)
        words = [
            f"{address}.{option}".lstrip(".") + f" is {now}, not {then}" for address, _ in same
        ]
        new = partial(_with, option=option, value=usual)
        yield words, lambda s, n=new: _exchange(s, where, n)


def _with(part: Spec[Any], option: str, value: Any) -> Spec[Any]:
    return replace(part, **{option: value}) if option in part.keywords else part


def _places(
    spec: Spec[Any], where: Any, wanted: Callable[[Any], bool]
) -> list[tuple[str, Spec[Any]]]:
    """The parts of a kind of place, or of a class, that are as is wanted."""
    if isinstance(where, str):
        return [(a, one) for a, one in _shown(spec) if _NUMBER.sub("*", a) == where and wanted(one)]
    return [(a, one) for a, one in walk(spec) if one.func is where and wanted(one)]


def _short(value: Any) -> str:
    """A value in words: of parts their names, each once."""
    if is_spec(value):
        return value.func.__name__
    if isinstance(value, Mapping):
        return f"({', '.join(value)})"
    if isinstance(value, tuple) and value and all(map(is_spec, value)):
        return f"({', '.join(dict.fromkeys(part.func.__name__ for part in value))})"
    return show(value)
