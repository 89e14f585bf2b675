"""Whether a block can stand where another one stood, asked before anything is made."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from blocks.edit import replace, walk
from blocks.errors import BlocksError, SpecError
from blocks.models.places import modules
from blocks.ops.shapeless import on_meta, undrawn
from blocks.ops.wants import call, wants
from blocks.spec import Spec, building
from blocks.step import Step

__all__: list[str] = []

Sizes = tuple[int, ...]
_LARGE = 1 << 27  # parameters of a block that is not built just to be asked


def check_slots(before: Spec[Any], after: Spec[Any], places: list[tuple[str, str]]) -> None:
    """Builds each new part with the sizes of its place, and lets it read what the old one read.

    Args:
        before, after: Specs of the old model and the new one.
        places: (old address, new address) of what was exchanged.

    Errors:
        SpecError: one that can't stand there; its address, its block and the sizes are named.
    """
    sizes = _sizes(before)
    olds, news = dict(walk(before)), dict(walk(after))  # what is wrapped, not the wrapper
    known: set[Any] = set()
    for was, place in places:
        if was in sizes and (key := (olds[was], news[place], sizes[was])) not in known:
            known.add(key)
            _check(place, *key)


def _sizes(spec: Spec[Any]) -> dict[str, Sizes]:
    """What each part of a model is built of, by address."""
    with building() as made, on_meta():
        model = replace(spec, ties=())() if "ties" in spec.keywords else spec()
    given = {id(module): sizes for module, _, sizes in made}
    return {address: given[id(m)] for address, m in modules(model) if id(m) in given}


def _check(place: str, old: Spec[Any], new: Spec[Any], sizes: Sizes) -> None:
    if old == new:
        return
    name, shown = getattr(new.func, "__name__", "?"), ", ".join(map(str, sizes))
    slot = f"{name} can't stand here, in a slot of size ({shown})"
    try:
        with on_meta():
            block = new(*sizes)
    except BlocksError as error:
        reason = f"{slot}: {error.reason}"
        raise SpecError(reason, field=place, hint=error.hint) from None
    if len(sizes) != 1 or sum(p.numel() for p in block.parameters()) > _LARGE:
        return
    wanted = _answer(old, sizes)
    if not isinstance(wanted, tuple):
        return
    given = _answer(new, sizes)
    if isinstance(given, SpecError):
        raise SpecError(f"{slot}: {given.reason}", field=place, hint=given.hint)
    if isinstance(given, tuple) and given != wanted:
        reason = f"{slot}: it gives {list(given)} where the old one gives {list(wanted)}"
        if given[:-1] == wanted[:-1]:
            reason = f"{slot}: what it gives is {given[-1]} wide, not {wanted[-1]}"
        raise SpecError(reason, field=place, hint="another block or other options fit")


@lru_cache(maxsize=512)
def _answer(part: Spec[Any], sizes: Sizes) -> Sizes | SpecError | None:
    """The shape of what a block makes of two vectors; None where that can't be told."""
    # Not run on meta: for that torch imports its compiler, which takes seconds.
    with undrawn(), torch.no_grad():
        block, x = part(*sizes).eval(), torch.zeros(1, 2, *sizes)
        try:
            found = call(block, x, Step.plain(x), None, wants(block))
        except SpecError as error:
            return error
        except Exception:  # of what reads more than x
            return None
    return tuple(found.shape) if isinstance(found, Tensor) else None
