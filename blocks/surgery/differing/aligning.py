"""Aligning: the blocks of two models side by side by their addresses, and what differs in each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from blocks.spec import children
from blocks.surgery.differing.describing import (
    Kinds,
    brief,
    kinds,
    nested,
    shape_text,
    speaks,
    written_value,
)
from blocks.surgery.tree.folding import folded, merged, numbered
from blocks.surgery.tree.parts import Part, Tree, holds_parts, join

__all__: list[str] = []

_FEW = 8  # parts of a tuple that are aligned by what they are; layers are by their numbers
_SHAPE = "shape of "

Row = tuple[str, Part | None, Part | None]


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        part: the address of the block, of equal ones as one: "layers.0-31.attention".
        times: how many blocks that are.
        block: its class, where both have the same.
        what: an option's name; "block" where one stands for another; "part" where one side has
            none; "shape of weight"; the name of a stack, where its length differs.
        a: the first's value, a number or text; None where it has none.
        b: the second's.
        follows: it is a consequence of another change, such as the shapes below another width.
    """

    part: str
    times: int
    block: str
    what: str
    a: Any
    b: Any
    follows: bool = False


@dataclass
class Pair:
    """A block of the first and one of the second, or of one of them alone.

    Attributes:
        name: within its parent.
        a: the first's.
        b: the second's.
        known: it has a Spec.
        own: what differs in itself, without its parts.
        explains: what differs makes shapes inside differ.
        parts: what both are made of.
        times: how many equal ones there are.
    """

    name: str
    a: Part | None
    b: Part | None
    known: bool
    own: tuple[Change, ...] = ()
    explains: bool = False
    parts: list[Pair] = field(default_factory=list)
    times: int = 1
    _kind: Hashable = None

    @property
    def differs(self) -> bool:
        """Whether anything in it does."""
        return bool(self.own) or any(part.differs for part in self.parts)


class Aligner:
    """Aligns two trees of unfolded parts, each kind of pair once."""

    def __init__(self, a: Tree, b: Tree):
        self.a, self.b = a, b
        self._seen: dict[tuple[int, int], Pair] = {}

    def pair(self, name: str, a: Part | None, b: Part | None) -> Pair:
        """Two parts with what differs between them; equal neighbours inside are folded."""
        if a is None or b is None:
            texts = [p and brief(t, p) for t, p in ((self.a, a), (self.b, b))]
            known = any(p and speaks(t, p) for t, p in ((self.a, a), (self.b, b)))
            kind = (a and a._kind, b and b._kind)
            lone = Change("", 1, "", "part", texts[0], texts[1])
            return Pair(name, a, b, known, (lone,), _kind=kind)
        key = (a._kind, b._kind)
        if key not in self._seen:
            self._seen[key] = self._compared(a, b)
        seen = self._seen[key]
        kind = key if seen.differs else None
        return Pair(name, a, b, seen.known, seen.own, seen.explains, seen.parts, _kind=kind)

    def _compared(self, a: Part, b: Part) -> Pair:
        ours, theirs = kinds(self.a, a), kinds(self.b, b)
        rows = list(_aligned(a.parts, b.parts))
        changes: list[Change] = []
        if list(ours) != list(theirs):
            left_out = None  # the parts of a whole model have lines of their own
            if a.address or b.address:  # what another block is made of inside is its own matter
                inner = _inner(ours, theirs) | _inner(theirs, ours)
                rows = [row for row in rows if self._speak(*row[1:], inner)]
                left_out = {part.name for _, *both in rows if all(both) for part in both if part}
            here, there = nested(ours, theirs, left_out), nested(theirs, ours, left_out)
            changes.append(Change("", 1, "", "block", here, there))
        for kind in (kind for kind in ours if kind in theirs):
            changes += self._options(kind, a, b)
        explains = bool(changes)
        block = a.block if a.block == b.block else ""
        for name in dict.fromkeys((*a.shapes, *b.shapes)):
            sizes = a.shapes.get(name), b.shapes.get(name)
            if sizes[0] != sizes[1]:
                here, there = map(shape_text, sizes)
                changes.append(Change("", 1, block, _SHAPE + name, here, there))
        said = {change.what for change in changes}
        for stem, (few, many) in _lengths(a.parts, b.parts, rows).items():
            rows = _without_more(rows, stem)
            if stem not in said:  # an option of this name has told it
                changes.append(Change("", 1, block, stem, few, many))
        known = speaks(self.a, a) or speaks(self.b, b)
        parts = folded([self.pair(*row) for row in rows])
        return Pair("", a, b, known, tuple(changes), explains, parts)

    def _speak(self, a: Part | None, b: Part | None, inner: set[str]) -> bool:
        """Whether all that is there has a Spec, and is no part of a block that the other lacks."""
        sides = [(tree, part) for tree, part in ((self.a, a), (self.b, b)) if part]
        all_speak = all(speaks(tree, part) for tree, part in sides)
        return all_speak and (len(sides) == 2 or sides[0][1].name not in inner)

    def _options(self, kind: type, a: Part, b: Part) -> Iterator[Change]:
        one, other = kinds(self.a, a)[kind], kinds(self.b, b)[kind]
        for name in () if one is None or other is None else one.keywords:
            values = one.keywords[name], other.keywords[name]  # pyright: ignore[reportOptionalMemberAccess]  # neither is None
            if values[0] == values[1] or any(map(holds_parts, values)) or name == "ties":
                continue  # what is shared is told once, by its tensors
            here = written_value(self.a, a, kind, name), written_value(self.b, b, kind, name)
            if here[0] != here[1]:
                yield Change("", 1, kind.__name__, name, *here)


def flat(pair: Pair) -> list[Change]:
    """Every change of a whole pair and inside it, with its address."""
    sizes = {(str(c.a), str(c.b)) for c in pair.own}  # a vocabulary is no size of layers
    wide = any(c.what in ("dim", "block") for c in pair.own)
    found = list(pair.own)
    for inner in pair.parts:
        found += _inside(inner, "", 1, wide or (pair.explains and not inner.known), sizes)
    return _joined(found)


def _joined(changes: Iterable[Change]) -> list[Change]:
    """One change for what is the same in layers of several kinds."""
    groups: dict[Hashable, list[Change]] = {}
    for c in changes:
        head, _, tail = numbered(c.part)
        key = (head, tail, c.block, c.what, str(c.a), str(c.b), c.follows)
        groups.setdefault(key, []).append(c)
    return [
        replace(some[0], part=merged(c.part for c in some), times=sum(c.times for c in some))
        for some in groups.values()
    ]


def _inside(
    pair: Pair, above: str, times: int, explained: bool, sizes: set[tuple[str, str]]
) -> list[Change]:
    place, times, found = join(above, pair.name), times * pair.times, []
    for c in pair.own:
        shape = c.what.startswith(_SHAPE)
        follows = shape and (explained or pair.explains or _told(c, sizes))
        follows = follows or (c.what == "part" and explained and not pair.known)
        found.append(Change(place, times, c.block, c.what, c.a, c.b, follows))
    for inner in pair.parts:
        found += _inside(inner, place, times, explained or pair.explains, sizes)
    return found


def _told(change: Change, sizes: set[tuple[str, str]]) -> bool:
    """Whether a shape differs in nothing but sizes that differ in the whole model's options."""
    if change.a is None or change.b is None:
        return False
    both = list(zip_longest(change.a.split("×"), change.b.split("×")))
    return all(one == two or (one, two) in sizes for one, two in both)


def alike(pair: Pair) -> list[str]:
    """The addresses of what is the same in both, of the largest such parts that have a Spec."""
    groups: dict[Hashable, list[str]] = {}
    for address in _alike(pair, ""):
        head, _, tail = numbered(address)
        groups.setdefault((head, tail), []).append(address)
    return [merged(some) for some in groups.values()]


def _alike(pair: Pair, above: str) -> Iterator[str]:
    place = join(above, pair.name) if pair.name else above
    if not pair.differs:
        yield place or "all"
        return
    for inner in pair.parts:
        if inner.known:
            yield from _alike(inner, place)


def _inner(ours: Kinds, theirs: Kinds) -> set[str]:
    """The parts of those blocks that stand on one side alone: their text has them."""
    specs = [spec for kind, spec in ours.items() if spec is not None and kind not in theirs]
    return {name for spec in specs for name, *_ in children(spec)}


def _stem(name: str) -> str | None:
    """Of what a part is one of several."""
    stem, _, number = name.rpartition(".")
    return stem if number.isdecimal() else None


def _aligned(ours: Sequence[Part], theirs: Sequence[Part]) -> Iterator[Row]:
    """Parts of the same name; of a short tuple, those of the same class."""
    groups: dict[str, tuple[list[Part], list[Part]]] = {}
    for at, parts in enumerate((ours, theirs)):
        for part in parts:
            stem = _stem(part.name)
            name = part.name if stem is None else f"{stem}."
            groups.setdefault(name, ([], []))[at].append(part)
    for name, (here, there) in groups.items():
        pairs: Iterable[tuple[Part | None, Part | None]] = zip_longest(here, there)
        if name != "layers." and max(len(here), len(there)) <= _FEW:
            pairs = _by_class(here, there)
        for a, b in pairs:
            names = dict.fromkeys(part.name for part in (a, b) if part)
            yield " → ".join(names), a, b


def _by_class(ours: list[Part], theirs: list[Part]) -> Iterator[tuple[Part | None, Part | None]]:
    blocks = [part.block for part in ours], [part.block for part in theirs]
    for _, i, j, m, n in SequenceMatcher(None, *blocks, autojunk=False).get_opcodes():
        yield from zip_longest(ours[i:j], theirs[m:n])


def _lengths(
    ours: Sequence[Part], theirs: Sequence[Part], rows: Sequence[Row]
) -> dict[str, tuple[int, int]]:
    """The lengths of stacks of which one side has more, and nothing new among them."""
    found: dict[str, tuple[int, int]] = {}
    for stem in {stem for name, a, b in rows if not (a and b) and (stem := _stem(name))}:
        sides = [[p for p in parts if _stem(p.name) == stem] for parts in (ours, theirs)]
        few, many = sorted(sides, key=len)
        if few and {p._kind for p in many[len(few) :]} <= {p._kind for p in many[: len(few)]}:
            found[stem] = len(sides[0]), len(sides[1])
    return found


def _without_more(rows: Iterable[Row], stem: str) -> list[Row]:
    return [(name, a, b) for name, a, b in rows if (a and b) or _stem(name) != stem]
