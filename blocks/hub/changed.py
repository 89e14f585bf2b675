"""A model of another Spec: what its parts were carries over, the rest is drawn afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import Any

import torch
from torch import Tensor, nn

from blocks.carry import Rule
from blocks.carry.carrying import Carried, Carrying
from blocks.carry.lineage import distinct, moved, ties_that_hold
from blocks.edit import replace
from blocks.errors import ConfigError, printable
from blocks.hub.fill import assign, initialise
from blocks.hub.packing import put_packed
from blocks.models.adapters import is_adapted, start_adapters
from blocks.models.packing import Packed, packed_ties
from blocks.models.places import addresses, spread, tie
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec, building, is_spec

__all__: list[str] = []


@dataclass
class Changed:
    """A model that was made of another one.

    Attributes:
        model: with all its numbers.
        carried: its tensors that the old one had, by address.
        new: addresses of those that it hadn't.
        shared: addresses whose tensor is that of another address.
        dropped: addresses in the old model that nothing was made of.
        twins: of the old model, place -> source.
    """

    model: Any
    carried: dict[str, Carried]
    new: tuple[str, ...]
    shared: tuple[str, ...]
    dropped: tuple[str, ...]
    twins: dict[str, str] = field(default_factory=dict)


def changed(
    old: nn.Module,
    spec: Spec,
    rules: Iterable[Rule] | None = (),
    *,
    before: Spec,
    copy: bool,
    dtype: torch.dtype | None,
    device: Any = None,
    exchanged: Iterable[str] = (),
    moved: Mapping[str, str] | None = None,
    packed: Mapping[str, Packed] | None = None,
) -> Changed:
    """A model of `spec` with what carries over from `old`, which is as `before` says.

    Args:
        old: a model; its tensors on the meta device count as absent.
        spec: what is wanted.
        rules: the caller's own rules; None for none at all.
        before: the Spec of `old`, whose ties are true.
        copy: whether tensors that are carried as they are become copies.
        dtype, device: of what is drawn or converted.
        exchanged, moved: as of `Carrying`.
        packed: matrices of the new model that are packed.
    """
    tied = "ties" in spec.keywords
    bare = replace(spec, ties=()) if tied else spec
    with building() as made, on_meta():
        model = bare()
    put_packed(model, packed or {})
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    carried = Carrying(old, model, made, rules, exchanged=exchanged, moved=moved, **options).run()
    wanted, held = addresses(model), addresses(old)
    ties: tuple[tuple[str, str], ...] = ()
    if tied:
        asked = spec.keywords["ties"], before.keywords.get("ties", ())
        ties = asked[0] if packed else ties_that_hold(*asked, held, wanted, carried)
        model.spec = replace(spec, ties=ties)
    pairs = packed_ties(model, ties)
    shared = [place for pair in pairs for place, _ in spread(pair, wanted)]
    kept = {place: one for place, one in carried.items() if place not in shared}
    assign(model, {place: _own(one, copy) for place, one in kept.items()})
    new = tuple(place for place in wanted if place not in kept and place not in shared)
    initialise(model, made, new, **options)
    _freeze(model, kept, held)
    tie(model, pairs)
    if is_adapted(spec):
        start_adapters(model, new, not is_adapted(before))
    known = packed_ties(old, before.keywords.get("ties", ()))
    twins = {place: source for pair in known for place, source in spread(pair, held)}
    used = {source for one in kept.values() for source in one.sources}
    used |= {place for place in held if twins.get(place) in used}
    dropped = tuple(p for p, t in held.items() if p not in used and not t.is_meta)
    return Changed(model, kept, new, tuple(shared), dropped, twins)


def rewritten(
    model: Any,
    rewrite: Callable[[Spec], Spec],
    packed: Mapping[str, Packed],
    *,
    dtype: torch.dtype | None,
    device: Any,
) -> Any:
    """A model that was just loaded, as `rewrite` wants it.

    Errors:
        ConfigError: that gives no model's Spec.
    """
    before = distinct(model.spec)
    spec: Any = rewrite(before) if callable(rewrite) else rewrite
    if not is_spec(spec) or "ties" not in spec.keywords:
        raise ConfigError(f"rewrite gave {spec!r}, not the Spec of a model", field="rewrite")
    how: dict[str, Any] = {"moved": moved(before, spec), "dtype": dtype, "device": device}
    rules = None if packed else ()  # they are about numbers, not about packed bytes
    after = changed(model, spec, rules, before=model.spec, copy=False, packed=packed, **how)
    told, there = model.provenance, addresses(after.model)
    converted = [one.words for one in after.carried.values() if not one.same]
    words = "rewritten when it was loaded"
    if converted:
        ways = "; ".join(dict.fromkeys(filter(None, converted)))
        words = f"{words}, {len(converted)} tensors converted: {printable(ways)}"
    drawn = (p for p in (*told.initialised, *after.new) if p in there)
    after.model.provenance = replace_fields(
        told,
        initialised=tuple(dict.fromkeys(drawn)),
        left_out=(*told.left_out, *(p for p in after.dropped if p not in after.twins)),
        changes=(*told.changes, words),
    )
    return after.model


def _own(one: Carried, copy: bool) -> Tensor:
    tensor = one.tensor.detach()
    return tensor.clone() if copy and one.same else tensor


def _freeze(model: nn.Module, kept: Mapping[str, Carried], held: Mapping[str, Tensor]) -> None:
    """What was made of nothing that was to learn is not to learn."""
    now = addresses(model)
    for place, one in kept.items():
        if one.sources and now[place].is_floating_point():
            now[place].requires_grad_(any(held[source].requires_grad for source in one.sources))
