"""What becomes of a block's tensors when another block takes its place: one rule a pair of blocks.

A rule is a function in a file of this folder, or one that a caller hands in. Its first two
parameters are the old block and the new one, and their annotations, a class each or a union of
classes, are the pair it is for. It yields what the new block's tensors are, one at a time:

    yield "k.weight", tensor, "mean of 4 heads"     the tensor, and how it came about in words
    yield "experts.3", old.mlp                      a part, by the rule of the two parts' own pair
    yield "", old                                   all that has the same name and the same shape

A later line takes the place of an earlier one. A tensor of the old block that is passed on as it is
counts as copied; of any other it is read from torch's graph which ones it was made of, so a rule
computes with the old block's tensors as they are and detaches nothing. What no line names is drawn
by the new block's own rule and reported as new; a rule that wants those numbers, to fill up a
matrix, has a third parameter: `fresh("inputs.weight")` gives them. The new block has shapes and no
numbers. Where there is no rule for a pair, all of the same name and shape is passed on.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from torch import Tensor, nn

from blocks.errors import SpecError

Line = tuple[str, Tensor | nn.Module] | tuple[str, Tensor | nn.Module, str]
"""What a rule yields: a place in the new block, what comes there, and how in words."""
Lines = Iterator[Line]
Rule = Callable[..., Iterable[Line]]
Fresh = Callable[[str], Tensor]


@cache
def pairs_of(rule: Rule) -> tuple[tuple[type, type], ...]:
    """The pairs of blocks that a rule is for.

    Errors:
        SpecError: its first two parameters don't say which.
    """
    try:
        hints = get_type_hints(rule)
        first, second = [hints[name] for name in inspect.signature(rule).parameters][:2]
    except (KeyError, NameError, TypeError, ValueError):
        name = getattr(rule, "__name__", repr(rule))
        raise SpecError(
            f"{name} doesn't say for which pair of blocks it is",
            field="rules",
            hint="annotate its first two parameters with their classes",
        ) from None
    return tuple((old, new) for old in _classes(first) for new in _classes(second))


def _classes(annotation: Any) -> tuple[type, ...]:
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    found = parts or (annotation,)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, nn.Module)):
            raise SpecError(f"{one!r} is no class of modules", field="rules")
    return found


@cache
def found_rules() -> tuple[Rule, ...]:
    """The rules in this folder: every function of two blocks that no underscore hides."""
    found: list[Rule] = []
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for name, value in vars(module).items():
            here = isinstance(value, types.FunctionType) and value.__module__ == module.__name__
            if here and not name.startswith("_") and _takes_blocks(value):
                found.append(value)
    return tuple(found)


def _takes_blocks(function: Callable[..., Any]) -> bool:
    try:
        return bool(pairs_of(function))
    except SpecError:
        return False


def rule_for(old: type, new: type, own: Iterable[Rule] = ()) -> Rule | None:
    """The rule of a pair of blocks, the caller's own before those found here, or None.

    Of several the one whose classes are nearest is taken: a rule for a class is one for its
    subclasses too.
    """
    for rules in (tuple(own), found_rules()):
        best: tuple[int, Rule] | None = None
        for rule in rules:
            for one, other in pairs_of(rule):
                if issubclass(old, one) and issubclass(new, other):
                    far = old.__mro__.index(one) + new.__mro__.index(other)
                    best = min(best or (far, rule), (far, rule), key=lambda item: item[0])
        if best is not None:
            return best[1]
    return None
