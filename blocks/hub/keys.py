"""Keys: the two-way table between a checkpoint's tensor names and our addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from blocks.hub.gguf.types import FLOATS
from blocks.hub.templates import expanded, filled, pattern

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Join", "Keys", "Rename", "Row", "Rule", "Stack", "Transpose"]


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rule:
    """One line of the table: some of their tensors hold some of ours.

    Names are templates: a segment `{i}` stands for any number, and `{w}` for `weight` and for
    `bias`. The base class renames; others take one tensor apart and put it together again.
    """

    theirs: str
    ours: tuple[str, ...]

    def shape(self, ours: Sequence[Shape]) -> Shape:
        """The shape of their tensor from those of ours."""
        return ours[0]

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        """Their tensor as ours, views where that is possible."""
        return [theirs]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        """The inverse of `load`."""
        return ours[0]

    def beside(self, theirs: str) -> tuple[str, ...]:
        """Names of the tensors without which theirs can't be read: scales of quantised values."""
        return ()

    def forms(self, ours: Sequence[Shape]) -> tuple[tuple[Shape, tuple[str, ...]], ...]:
        """Shape and possible dtypes of their tensor and of those beside it."""
        return ((self.shape(ours), FLOATS),)

    def wrong(self, ours: Sequence[Shape]) -> str | None:
        """Why theirs can hold no tensors of ours of these shapes; None if it can."""
        return None

    def fits(self, wanted: Shape, held: Shape) -> bool:
        """Whether a tensor of theirs that should have one shape may have another."""
        return wanted == held

    def whole(self, theirs: Sequence[Tensor], ours: Sequence[Shape]) -> Tensor:
        """Their tensor as floats, from itself and those beside it."""
        return theirs[0]


def Rename(theirs: str, ours: str) -> Rule:  # reads as the rules beside it
    """Their name and ours for the same tensor."""
    return Rule(theirs, (ours,))


@dataclass(frozen=True)
class Transpose(Rule):
    """A matrix stored as [in, out] where ours is [out, in]."""

    def shape(self, ours: Sequence[Shape]) -> Shape:
        return ours[0][::-1]

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return [theirs.t() if theirs.dim() > 1 else theirs]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return ours[0].t() if ours[0].dim() > 1 else ours[0]


@dataclass(frozen=True)
class Row(Rule):
    """A vector [N] of ours that is a matrix of one row [1, N], or has more such `axes` before."""

    axes: int = 1

    def shape(self, ours: Sequence[Shape]) -> Shape:
        return (*[1] * self.axes, *ours[0])

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return [theirs[(0,) * self.axes]]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return ours[0][(None,) * self.axes]


@dataclass(frozen=True)
class Join(Rule):
    """Several of ours lie one after another along the first axis of theirs: fused q, k and v.

    Attributes:
        groups: how often they take turns: with as many groups as heads, theirs holds q, k and v of
            the first head, then those of the second; with as many as key heads, all queries of a
            group before its key and its value.
        transposed: theirs is [in, out].
    """

    groups: int = 1
    transposed: bool = False

    def shape(self, ours: Sequence[Shape]) -> Shape:
        shape = (sum(shape[0] for shape in ours), *ours[0][1:])
        return shape[::-1] if self.transposed else shape

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        rows = theirs.t() if self.transposed and theirs.dim() > 1 else theirs
        sizes = [shape[0] // self.groups for shape in ours]
        if self.groups == 1:
            return list(rows.split(sizes))
        parts = rows.unflatten(0, (self.groups, -1)).split(sizes, 1)
        return [part.flatten(0, 1) for part in parts]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        parts = [part.unflatten(0, (self.groups, -1)) for part in ours]
        rows = _torch().cat(parts, 1).flatten(0, 1)
        return rows.t() if self.transposed and rows.dim() > 1 else rows


@dataclass(frozen=True)
class Stack(Rule):
    """All experts in one tensor: axis 0 counts `{e}`, which stands in our names alone; several
    names of ours lie one after another along axis 1.

    Attributes:
        interleaved: they take turns row by row instead.
        transposed: theirs is [experts, in, out].
    """

    interleaved: bool = False
    transposed: bool = False

    def _split(self, ours: Sequence[Any]) -> list[Sequence[Any]]:
        width = len(self.ours)
        return [ours[i : i + width] for i in range(0, len(ours), width)]

    def shape(self, ours: Sequence[Shape]) -> Shape:
        experts = self._split(ours)
        one = (sum(shape[0] for shape in experts[0]), *ours[0][1:])
        return (len(experts), *(one[::-1] if self.transposed else one))

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        turned = self.transposed and theirs.dim() > 2
        experts = [expert.t() if turned else expert for expert in theirs]
        if self.interleaved:  # copied: no product of matrices is quick with every other row
            width = len(self.ours)
            return [rows[n::width].contiguous() for rows in experts for n in range(width)]
        sizes = [shape[0] for shape in ours[: len(self.ours)]]
        return [part for rows in experts for part in rows.split(sizes)]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        torch = _torch()
        if self.interleaved:
            experts = [torch.stack(list(parts), 1).flatten(0, 1) for parts in self._split(ours)]
        else:
            experts = [torch.cat(list(parts)) for parts in self._split(ours)]
        whole = torch.stack(experts)
        return whole.transpose(1, 2) if self.transposed and whole.dim() > 2 else whole


def _torch() -> Any:
    import torch  # only when tensors are there: names alone are matched without it

    return torch


@dataclass(frozen=True)
class Mapped:
    """One of their tensors and the addresses it fills, by a rule."""

    rule: Rule
    theirs: str
    ours: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Theirs and what stands beside it."""
        return (self.theirs, *self.rule.beside(self.theirs))


class Keys:
    """A family's table of tensor names, one-to-one in both directions.

    Rules come in the order of preference: where two cover the same address, the file's form is
    taken on loading and the first on saving.

    Args:
        *rules: pairs (theirs, ours), or Rules.
        ignore: templates of tensors that files may hold and that nothing reads, such as tables
            that are computed.
        optional: how names may begin and needn't: `transformer.` in GPT-2.
        appended: a template and a number: layers from that one on are another model's, and nothing
            reads them, where the file holds the template's name for them.
        apart: how names begin that belong to other models in the same file, such as an encoder of
            images: nothing reads them, and the provenance of the loaded model lists them.

    Example:
        >>> keys = Keys(("h.{i}.up.{w}", "layers.{i}.mlp.up.{w}"))
        >>> [(m.theirs, m.ours) for m in keys.candidates(["layers.3.mlp.up.bias"])]
        [('h.3.up.bias', ('layers.3.mlp.up.bias',))]
    """

    def __init__(
        self,
        *rules: tuple[str, str] | Rule,
        ignore: Sequence[str] = (),
        optional: str = "",
        appended: tuple[str, int] | None = None,
        apart: tuple[str, ...] = (),
    ):
        whole = [
            replace(rule, theirs=theirs, ours=ours)
            for rule in (one if isinstance(one, Rule) else Rename(*one) for one in rules)
            for theirs, ours in expanded(rule.theirs, rule.ours)
        ]
        bare = [
            replace(rule, theirs=rule.theirs.removeprefix(optional))
            for rule in whole
            if optional and rule.theirs.startswith(optional)
        ]
        self.rules = (*whole, *bare)
        ignored = (*ignore, *(template.removeprefix(optional) for template in ignore))
        self.ignore = frozenset(pattern(template)[0] for template in ignored)
        self.appended, self.apart = appended, apart
        self._by_ours: dict[str, list[tuple[Rule, int]]] = {}
        for rule in self.rules:
            for place, template in enumerate(rule.ours):
                self._by_ours.setdefault(pattern(template)[0], []).append((rule, place))

    def candidates(
        self, ours: Sequence[str], file: Mapping[str, Any] | None = None
    ) -> list[Mapped]:
        """Every way in which a file may hold our addresses, the preferred first.

        Args:
            ours: the addresses.
            file: header entry, or None, by the names that a file holds: some ways are only
                possible where it holds them.
        """
        groups: dict[tuple[int, str], list[tuple[tuple[int, ...], int, str]]] = {}
        order = {id(rule): n for n, rule in enumerate(self.rules)}
        for address in ours:
            form, numbers = pattern(address)
            for rule, place in self._by_ours.get(form, ()):
                value = dict(zip(pattern(rule.ours[place])[1], numbers, strict=True))
                if any(name.isdecimal() and name != number for name, number in value.items()):
                    continue  # the template names one place, `qk.0`, and this is another
                theirs, used = filled(rule.theirs, value)
                extra = tuple(int(n) for name, n in value.items() if name not in used)
                key = (order[id(rule)], theirs)
                groups.setdefault(key, []).append((extra, place, address))
        found = []
        for (rule_number, theirs), members in sorted(groups.items(), key=lambda item: item[0][0]):
            rule = self.rules[rule_number]
            addresses = tuple(address for _, _, address in sorted(members))
            if len(addresses) % len(rule.ours) == 0:  # a part of a fused tensor is no tensor
                found.append(Mapped(rule, theirs, addresses))
        return found

    def ignored(self, theirs: str, file: Collection[str] = ()) -> bool:
        """Whether a file with all these names may hold this one without anybody reading it."""
        if pattern(theirs)[0] in self.ignore or theirs.startswith(self.apart):
            return True
        if self.appended is None:
            return False
        marker, first = self.appended
        start = marker.partition("{i}")[0]
        number = theirs.removeprefix(start).partition(".")[0]
        later = theirs.startswith(start) and number.isdecimal() and int(number) >= first
        return later and marker.replace("{i}", number) in file

    def chosen(self, ours: Sequence[str], theirs: Mapping[str, Any] | None = None) -> list[Mapped]:
        """One way for each address: the one whose names `theirs` holds, else the preferred.

        Of two that it holds, the one with more beside it. Addresses that no rule covers are left
        out.
        """
        best: dict[str, tuple[int, Mapped]] = {}
        for mapped in self.candidates(ours, theirs):
            names, known = mapped.names, () if theirs is None else theirs
            whole = all(name in known for name in names)
            fit = 1 + len(names) if whole else int(names[0] in known)
            if len(names) > 1 and not fit:
                continue  # quantised values are never written
            for address in mapped.ours:
                if fit > best.get(address, (-1, mapped))[0]:
                    best[address] = (fit, mapped)
        return list({id(mapped): mapped for _, mapped in best.values()}.values())
