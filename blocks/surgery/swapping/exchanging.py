"""swap: another block in a model that has its weights already."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from blocks.carry import Rule, pairs_of
from blocks.carry.lineage import distinct, moved
from blocks.edit import rewrite, walk
from blocks.errors import SpecError
from blocks.hub.changed import Changed, changed
from blocks.hub.provenance import Provenance
from blocks.models.packing import packed_matrices
from blocks.models.places import addresses
from blocks.spec import Spec, bare, is_spec
from blocks.surgery.swapping.probing import change_on
from blocks.surgery.swapping.slots import check_slots
from blocks.surgery.swapping.swapped import Fate, SwapReport

__all__ = ["swap"]

_KEPT = ("generation", "source_config", "origin")


def swap(
    model: Any,
    where: str | type,
    new: Any,
    *,
    rules: Iterable[Rule] = (),
    probe: Any = None,
) -> tuple[Any, SwapReport]:
    """Another block in the places of a model that `where` names, with the weights carried over.

    All that keeps its name and shape keeps its numbers. Between blocks of other shapes there are
    rules, one a pair (blocks/carry/): fewer key heads are means of them, an expert is a copy of the
    MLP, latents are factors. The rest is drawn by the new block's own rule. The report says of each
    tensor which it was.

    The old model stays as it is and shares no memory with the new one, so that both can be trained;
    for that long there are two in memory. Settings, training mode, dtype, device and ties go over.

    Args:
        model: an assembly with a `.spec` such as `from_pretrained` gives.
        where: a block class, or an address with wildcards, as in `rewrite`: "layers.*.attention".
            `""` is the whole model.
        new: a Spec, a class, a function from the old Spec to the new one, or None to take a part
            out.
        rules: your own rules, before those of the library. A rule is a function whose first two
            parameters are annotated with the pair of blocks; it yields (name in the new block,
            tensor, how in words), and has `yield "", old` for all of the same name and shape.
        probe: what both models are asked, for the report's `change`: a text, which the tokenizer
            of the model's checkpoint reads, token ids, or a tuple of what the model is called with.

    Returns:
        The new model, and the report.

    Errors:
        SpecError: nothing matches (the nearest addresses are shown), a block that can't stand
            there, a rule that gives what doesn't fit, or a model that `optimize` has prepared.

    Example:
        >>> from blocks import GQAttention, from_pretrained, packaged, replace, swap
        >>> model = from_pretrained(packaged())
        >>> fewer, report = swap(model, GQAttention, lambda old: replace(old, kv_heads=1))
        >>> {fate.words for fate in report.converted}
        {'mean of 2 heads'}
    """
    spec = _spec_of(model)
    several: tuple[Any, ...] = tuple(rules) if isinstance(rules, Iterable) else (None,)
    if not all(map(callable, several)):
        reason = f"are several functions, not {rules!r}"
        raise SpecError(reason, field="rules", hint="one has a comma: rules=(quieter,)")
    rules = several
    for rule in rules:
        pairs_of(rule)
    before = distinct(spec)
    found: list[tuple[Spec[Any], Any]] = []

    def exchange(part: Spec[Any]) -> Any:
        after = new if new is None or is_spec(new) or isinstance(new, type) else new(part)
        found.append((part, bare(after)))
        return found[-1][1]

    if not (new is None or callable(new)) or isinstance(new, nn.Module):
        what = f"a {type(new).__name__}" if isinstance(new, nn.Module) else repr(new)
        reason = f"new is a Spec, a class, a function or None, not {what}"
        raise SpecError(reason, field="new", hint="Spec(Block, option=…) says what to build")
    after: Any = rewrite(before, where, exchange)
    if not is_spec(after) or not hasattr(after.func, "forward"):
        raise SpecError(f"{after!r} is no model", field="new")
    origins = moved(before, after)
    places = _places(before, after, found)
    check_slots(before, after, places)
    kind, device = _like(model)
    result = changed(
        model,
        after,
        rules,
        before=spec,
        copy=True,
        dtype=kind,
        device=device,
        exchanged=[place for _, place in places],
        moved=origins,
    )
    name = where if isinstance(where, str) else where.__name__
    report = _report(name or "the model", found, places, result, model)
    result.model.train(model.training)
    for attribute in _KEPT:
        if hasattr(model, attribute):
            setattr(result.model, attribute, getattr(model, attribute))
    result.model.provenance = _told(getattr(model, "provenance", Provenance()), report, result)
    if probe is not None:
        report = dataclasses.replace(report, change=change_on(probe, model, result.model))
    return result.model, report


def _spec_of(model: Any) -> Spec[Any]:
    spec: Any = getattr(model, "spec", None)
    if not is_spec(spec) or not isinstance(model, nn.Module):
        reason = f"a {type(model).__name__} has no spec that tells where its parts are"
        raise SpecError(reason, field="model", hint="swap parts of an assembly such as CausalLM")
    if hasattr(model, "prepared") or packed_matrices(model):
        reason = "has matrices or a step that optimize has prepared"
        raise SpecError(reason, field="model", hint="swap first, then optimize")
    if any(tensor.is_meta for tensor in addresses(model).values()):
        reason = "has no numbers to carry over: it is on the meta device"
        raise SpecError(reason, field="model", hint="rewrite(model.spec, ...) changes a Spec alone")
    return spec


def _places(
    before: Spec[Any], after: Spec[Any], found: list[tuple[Spec[Any], Any]]
) -> list[tuple[str, str]]:
    """(old address, new address) of what was exchanged and is still there in another form."""
    olds = {id(part): address for address, part in walk(before)}
    news: dict[int, list[str]] = {}
    for address, part in walk(after):
        news.setdefault(id(part), []).append(address)
    # One Spec may stand in many places; they come in the order in which they were found.
    return [(olds[id(part)], news[id(new)].pop(0)) for part, new in found if news.get(id(new))]


def _like(model: nn.Module) -> tuple[torch.dtype | None, Any]:
    """The dtype and device that most parameters have."""
    count: Counter[Any] = Counter()
    for tensor in model.parameters():
        if tensor.is_floating_point():
            count[tensor.dtype, tensor.device] += tensor.numel()
    return count.most_common(1)[0][0] if count else (None, None)


def _report(
    name: str, found: Any, places: list[tuple[str, str]], result: Changed, model: nn.Module
) -> SwapReport:
    now, held = addresses(result.model), addresses(model)
    one = {place: carried for place, carried in result.carried.items() if carried.sources}
    told = {place: carried.words for place, carried in result.carried.items()}

    def fates(names: Iterable[str], of: Any) -> tuple[Fate, ...]:
        sources = {place: carried.sources for place, carried in one.items()} if of is now else {}
        words = told if of is now else {}
        return tuple(Fate(n, of[n].numel(), sources.get(n, ()), words.get(n, "")) for n in names)

    lost = [place for place in result.dropped if place not in result.twins]
    return SwapReport(
        where=name,
        places=tuple(place for _, place in places),
        before=_names(part for part, _ in found),
        after=_names(part for _, part in found),
        copied=fates([p for p, c in one.items() if c.same], now),
        converted=fates([p for p, c in one.items() if not c.same], now),
        new=fates([p for p in now if p not in one and p not in result.shared], now),
        dropped=fates(lost, held),
    )


def _names(parts: Iterable[Any]) -> str:
    names = ["nothing" if part is None else getattr(part.func, "__name__", "?") for part in parts]
    return " or ".join(dict.fromkeys(names))


def _told(told: Provenance, report: SwapReport, result: Changed) -> Provenance:
    there = addresses(result.model)
    drawn = [*told.initialised, *(fate.address for fate in report.new)]
    return dataclasses.replace(
        told,
        initialised=tuple(dict.fromkeys(address for address in drawn if address in there)),
        changes=(*told.changes, f"swapped {report.title}: {report.counts()}"),
    )
