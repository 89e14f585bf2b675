"""diff: two models side by side, which blocks and numbers differ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from textwrap import wrap
from typing import Any

from torch import nn

from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.hub.planned import look
from blocks.hub.report import KINDS
from blocks.surgery.differing.aligning import Aligner, Change, Pair, alike, flat
from blocks.surgery.differing.describing import line
from blocks.surgery.differing.sides import UNITS, Side, dtypes_of, side_of
from blocks.surgery.differing.weights import Weights, weights_of
from blocks.surgery.explaining import CONTEXT, tree_of
from blocks.surgery.tree.parts import Tree

__all__ = ["Difference", "diff"]

_SAME = "="
_NARROWEST = 24  # characters of two columns


@dataclass(frozen=True)
class Difference:
    """What `diff` found; printed, it is a table of what differs.

    Attributes:
        a: the first in numbers: its name, parameters, dtype, state of a token and so on.
        b: the second.
        changes: every one, with the address of its block, what differs there, and both values;
            those that merely follow from others say so.
        same: the addresses of what both have alike.
        weights: how the numbers compare, of two live models.
    """

    a: Side
    b: Side
    changes: tuple[Change, ...]
    same: tuple[str, ...]
    weights: Weights | None
    _pair: Pair = field(repr=False, compare=False)
    _trees: tuple[Tree, Tree] = field(repr=False, compare=False)

    @property
    def equal(self) -> bool:
        """Whether nothing differs: blocks, options, sizes, what is shared, dtypes, weights, fit.

        What isn't known of one, such as a Spec's dtype, and how many files hold the weights count
        for nothing.
        """
        other = self.weights is not None and self.weights.unequal > 0
        stored = {self.a.dtype, self.b.dtype} - {None}
        return not (self.changes or other or len(stored) > 1 or self.a.fits != self.b.fits)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        sides = {n: vars(side) | {"shared": [*side.shared]} for n, side in self._sides()}
        changes = [dict(vars(change)) for change in self.changes]
        weights = None if self.weights is None else dict(vars(self.weights))
        told = {"changes": changes, "same": [*self.same], "weights": weights}
        return {"equal": self.equal, **sides, **told}

    def _sides(self) -> tuple[tuple[str, Side], ...]:
        return ("a", self.a), ("b", self.b)

    def __str__(self) -> str:
        rows = [["PART", "BLOCK", "WHAT", "A", "B"]]
        for c in self.changes:
            if not c.follows:
                values = ["-" if one is None else str(one) for one in (c.a, c.b)]
                rows.append([c.part or "all", c.block, c.what, *values])
        text = [columns([["", "A", "B"], *self._facts()])]
        text += [columns(rows)] * (len(rows) > 1)
        follow = sum(change.follows for change in self.changes)
        tail = [f"shapes that follow from these: {follow}"] * (follow > 0)
        tail += [f"same: {', '.join(self.same)}"] * bool(self.same and not self.equal)
        tail += [str(self.weights)] * (self.weights is not None)
        tail += ["equal"] * self.equal
        return "\n\n".join([*text, "\n".join(tail)] if tail else text)

    def _facts(self) -> Iterator[list[str]]:
        for name, unit in UNITS.items():
            values = [getattr(side, name) for _, side in self._sides()]
            if all(value in (None, (), 0) for value in values):
                continue
            texts = ["?" if value is None else unit(value) or "-" for value in values]
            if values[0] == values[1]:
                texts[1] = _SAME
            yield [name.replace("_", " ").replace("nbytes", "bytes"), *texts]

    def side_by_side(self, width: int | None = None) -> str:
        """Both trees beside each other; what is the same takes one line.

        Between them stands `|` where something differs, `<` and `>` where only the first or only
        the second has a part.

        Args:
            width: of a line, in characters; by default as wide as it needs.

        Errors:
            SpecError: no room for two columns.
        """
        if width is not None and width < _NARROWEST:
            raise SpecError(f"must be {_NARROWEST} or more, not {width}", field="width")
        rows = [_beside(*fact) for fact in self._facts()]
        rows += [("", "", ""), *self._tree(self._pair, 0)]
        each = max(len(row[0]) for row in rows) if width is None else (width - 3) // 2
        lines: list[str] = []
        for left, mark, right in rows:
            cells = [[one] if width is None else _wrapped(one, each) for one in (left, right)]
            for at, (one, two) in enumerate(zip_longest(*cells, fillvalue="")):
                lines.append(f"{one:{each}} {mark if at == 0 else '':1} {two}".rstrip())
        return "\n".join(lines)

    def _tree(self, pair: Pair, level: int) -> Iterator[tuple[str, str, str]]:
        times = f" ({pair.times} ×)" if pair.times > 1 else ""
        name = "  " * level + (pair.name or "all") + times
        both = zip(self._trees, (pair.a, pair.b), strict=True)
        texts = ["" if part is None else f"{name}  {line(tree, part)}" for tree, part in both]
        mark = "<" if pair.b is None else ">" if pair.a is None else "|" if pair.own else ""
        yield texts[0], mark, texts[1]
        for inner in pair.parts if pair.differs else ():
            yield from self._tree(inner, level + 1)


def diff(a: Any, b: Any) -> Difference:
    """Compares two models block by block: options, sizes, what is shared, and numbers in all.

    Blocks are compared where they have the same address, layer by layer; equal ones are folded.
    Of two live models the weights are compared as well: those of the same address and shape. Of
    a folder or repository only config.json and headers are read.

    Args:
        a: a Spec of a whole model, a live model or block, a folder or repository, a config.json
            alone, or what `inspect` gave.
        b: any of these, of the same kind or another.

    Returns:
        A Difference: `print` it, or read `.equal`, `.changes` and `.side_by_side()`.

    Errors:
        SpecError: a Spec that still needs its sizes, or something that is no model.
        HubError, ConfigError, CheckpointError: as in `inspect`.

    Example:
        >>> from blocks import GatedMLP, diff
        >>> found = diff(GatedMLP(16, hidden=64), GatedMLP(16, hidden=48))
        >>> found.equal, found.changes[0].part, found.changes[0].a, found.changes[0].b
        (False, 'gate', '64×16', '48×16')
    """
    sides = [look(x) if isinstance(x, str | os.PathLike) else x for x in (a, b)]
    common = [dtypes_of(x).most_common(1) for x in sides]
    trees: list[Tree] = []
    for x, others in zip(sides, reversed(common), strict=True):
        said = KINDS.get(others[0][0]) if others else None  # of a Spec, which says none
        trees.append(tree_of(x, CONTEXT, said and said[1], fold=False))
    roots = [tree.root() for tree in trees]
    pair = Aligner(*trees).pair("", *roots)
    one, two = (side_of(x, root) for x, root in zip(sides, roots, strict=True))
    changes = flat(pair)
    if one.shared != two.shared:
        shared = [", ".join(side.shared) or None for side in (one, two)]
        changes.append(Change("", 1, "", "shared", shared[0], shared[1]))
    live = [x for x in sides if isinstance(x, nn.Module)]
    weights = weights_of(*live) if len(live) == 2 else None
    same = tuple(alike(pair))
    return Difference(one, two, tuple(changes), same, weights, pair, (trees[0], trees[1]))


def _beside(name: str, left: str, right: str) -> tuple[str, str, str]:
    if right == _SAME:
        return f"{name}: {left}", "", f"{name}: {left}"
    return f"{name}: {left}", "|", f"{name}: {right}"


def _wrapped(text: str, width: int) -> list[str]:
    """A cell in several lines, the later ones as far in as the first."""
    before = " " * (len(text) - len(text.lstrip()))
    return wrap(text, width, subsequent_indent=before[: width // 2] + "  ") or [""]
