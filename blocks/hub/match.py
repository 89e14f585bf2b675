"""Matching: every tensor of a file against every address of a model, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from blocks.errors import printable
from blocks.hub.headers import Entry
from blocks.hub.keys import FLOATS, Keys, Mapped

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.\s])")

Shape = tuple[int, ...]


@dataclass
class Match:
    """How a file fits a model.

    Attributes:
        found: the tensors to read, with the addresses they fill.
        ties: the (place, source) pairs that the file leaves to be shared.
        missing: what the file lacks, with the addresses that stay empty.
        extra: names in the file that nothing uses.
        apart: names in the file that are other models'.
        misfits: (their name, why) of tensors with a wrong shape or type.
        unmapped: addresses for which the family has no name.
    """

    found: list[Mapped] = field(default_factory=list)
    ties: tuple[tuple[str, str], ...] = ()
    missing: list[Mapped] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Misfit:
    """A tensor of a wrong shape or type: which, what was wanted and what is there; or why no tensor
    could be right, in words.
    """

    mapped: Mapped
    name: str
    wanted: Shape
    kinds: tuple[str, ...]
    held: Shape
    dtype: str
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason:
            return f"{self.name}: {self.reason}"
        if self.dtype in self.kinds:
            return f"{self.name} is {list(self.held)}, not {list(self.wanted)}"
        if self.kinds != FLOATS:
            return f"{self.name} holds {self.dtype}, not {' or '.join(self.kinds)}"
        scales = " and has no scales beside it" if self.dtype.startswith("F8") else ""
        return f"{self.name} holds {self.dtype}, not floats{scales}"


def match(
    keys: Keys,
    ours: Mapping[str, Shape],
    entries: Mapping[str, Entry | None],
    ties: Sequence[tuple[str, str]] = (),
) -> Match:
    """Matches the names and shapes of a file's `entries` with those of a model's addresses.

    Args:
        keys: the family's table.
        ours: shape by address.
        entries: header entry by name; None where a name is known and its shape is not.
        ties: tensors that may be left out because they share one with another.
    """
    result = Match()
    used = set()
    for mapped in keys.chosen(list(ours), entries):
        used |= set(mapped.names)
        gone = next((name for name in mapped.names if name not in entries), None)
        if gone is None:
            result.found.append(mapped)
        else:
            result.missing.append(Mapped(mapped.rule, gone, mapped.ours))
    _share(result, ours, ties)
    result.extra = [n for n in entries if n not in used and not keys.ignored(n, entries)]
    result.apart = [n for n in entries if n.startswith(keys.apart)]
    covered = {address for m in (*result.found, *result.missing) for address in m.ours}
    shared = {place for place, _ in result.ties}
    result.unmapped = [a for a in ours if a not in covered and a not in shared]
    for mapped in result.found:
        shapes = [ours[address] for address in mapped.ours]
        if reason := mapped.rule.wrong(shapes):
            result.misfits.append(Misfit(mapped, mapped.theirs, (), (), (), "", reason))
            continue
        forms = mapped.rule.forms(shapes)
        for name, (wanted, kinds) in zip(mapped.names, forms, strict=True):
            entry = entries[name]
            if entry is None:
                continue
            if not mapped.rule.fits(wanted, entry.shape) or entry.dtype not in kinds:
                misfit = Misfit(mapped, name, wanted, kinds, entry.shape, entry.dtype)
                result.misfits.append(misfit)
    return result


def _share(result: Match, ours: Mapping[str, Shape], ties: Sequence[tuple[str, str]]) -> None:
    """A tensor that is missing although its twin is there is shared; it does not matter which."""
    missing = {m.ours[0]: m for m in result.missing if len(m.ours) == 1}
    found = {address: m for m in result.found for address in m.ours}
    shared: list[tuple[str, str]] = []
    once: set[str] = set()
    for place, source in ties:
        if ours.get(place) != ours.get(source) or place not in ours:
            continue
        if source in found and place not in found and place not in once:
            if place in missing:  # else no name is known for it but its source's
                result.missing.remove(missing.pop(place))
            once.add(place)
            shared.append((place, source))
        elif source in missing and place in found and len(found[place].ours) == 1:
            result.missing.remove(missing.pop(source))
            result.found.remove(found[place])
            twin = found[place].theirs
            rule = replace(found[place].rule, ours=(source,))
            result.found.append(Mapped(rule, twin, (source,)))
            shared.append((place, source))
    result.ties = tuple(shared)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a row, those that differ in numbers alone folded: `layers.{0-31}.mlp.up.weight`."""
    groups: dict[str, list[tuple[int, ...]]] = {}
    for name in names:
        numbers = tuple(int(n) for n in _NUMBER.findall(name))
        groups.setdefault(_NUMBER.sub("{}", printable(name, 160)) or '""', []).append(numbers)
    folded = [_folded(form, numbers) for form, numbers in groups.items()]
    rest = f" and {len(folded) - most} more kinds" if len(folded) > most else ""
    return ", ".join(folded[:most]) + rest


def _folded(form: str, numbers: list[tuple[int, ...]]) -> str:
    for column in zip(*numbers, strict=True):
        values = sorted(set(column))
        span = str(values[0])
        if len(values) > 1:
            whole = len(values) == values[-1] - values[0] + 1
            span = f"{{{values[0]}-{values[-1]}}}" if whole else f"{{{','.join(map(str, values))}}}"
        form = form.replace("{}", span, 1)
    return form
