"""From the Spec of a model to its picture: its parts in order, layers folded, hybrids visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

from blocks.spec import Spec, children, is_spec
from blocks.surgery.drawing.compose import Composer
from blocks.surgery.drawing.flow import Series, Side
from blocks.surgery.drawing.folded import Strip, Strips
from blocks.surgery.drawing.ground import Frame, Pair
from blocks.surgery.drawing.shapes import Card, Shape, Words
from blocks.surgery.drawing.wording import QUIET, SAID, amount, kind_of_block, name_of, unlike
from blocks.surgery.tree.folding import numbered
from blocks.surgery.tree.parts import Part, join

__all__: list[str] = []

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Group:
    """Layers that are equal: the first, how many, and how far apart."""

    def __init__(self, part: Part):
        self.part, self.times = part, part.times
        self.run = numbered(part.name)[1]
        self.first = self.run[0]
        self.period = self.run[1] - self.first if len(self.run) > 1 else 1

    @property
    def numbers(self) -> str:
        if self.times == 1:
            return f"{self.first}"
        if self.period == 1:
            return f"{self.first}–{self.run[-1]}"
        early = ", ".join(map(str, self.run[:2]))
        return early if self.times == 2 else f"{early} … {self.run[-1]}"


class Assembly:
    """Makes the shape of a whole model.

    Args:
        spec: of the model.
        root: its Part, for the numbers.

    Attributes:
        shape: the model, from its input to its output.
        panels: the kinds of layers that didn't fit in there.
    """

    def __init__(self, spec: Spec[Any], root: Part):
        self.parts = {part.address: part for part in _all(root)}
        self.composer = Composer(self.parts, self.nested)
        self.panels: list[Frame] = []
        self._letters: dict[Spec[Any], str] = {}
        self._pair, self._tokens = False, "T"
        self.shape = self.whole(spec, "", 0)

    def whole(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        """A model from its input to its output."""
        options = spec.keywords
        if "encoder" in options and "decoder" in options and "patches" not in options:
            return self._halves(spec)
        if "layers" in options or "stages" in options:
            heard = "channels" in options
            start = "frames [B T C]" if heard else "tokens [B T]"
            end = f"logits [B T {options['vocab']:,}]" if options.get("vocab") else "[B T D]"
            head = options.get("head")
            if head is None:
                end = f"[B T {options.get('dim', dim):,}]"
            elif kind_of_block(head) == "ends" and "vocab" not in _sizes(head):
                end = "answer"
            return Series([Words(start), *self._parts(spec, address, dim), Words(end)])
        return Series([Words("x"), *self._parts(spec, address, dim), Words("y")])

    def nested(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        """A model that is a part of another."""
        inner = Series(self._parts(spec, address, dim))
        return Frame(inner, name_of(spec), block=name_of(spec))

    def _halves(self, spec: Spec[Any]) -> Shape:
        options, dim = spec.keywords, spec.keywords["dim"]
        frames = getattr(options["encoder"].keywords.get("embedding"), "func", None)
        heard = getattr(frames, "reads_frames", False)
        start = f"frames [B S {options['source']}]" if heard else "source tokens [B S]"
        self._tokens = "S"
        reads = [
            Words(start),
            *self._parts(options["encoder"], "encoder", dim),
            Words(f"memory [B S {dim:,}]"),
        ]
        self._pair, self._tokens = True, "T"
        writes = [Words("target tokens [B T]"), *self._parts(options["decoder"], "decoder", dim)]
        self._pair = False
        if options.get("head"):
            writes.append(self._part(options["head"], "head", dim))
            writes.append(Words(f"logits [B T {options['vocab']:,}]"))
        else:
            writes.append(Words(f"[B T {dim:,}]"))
        return Pair(*(Series(half) for half in (reads, writes)))

    def _parts(self, spec: Spec[Any], address: str, dim: int) -> list[Shape]:
        options = spec.keywords
        dim = options.get("dim") or dim
        width = options.get("width") or dim
        shapes: list[Shape] = []
        order = [name for name in _ORDER if options.get(name) is not None]
        order += [n for n, o, _, _ in children(spec) if o not in _ORDER and n not in order]
        for name in order:
            value: Any = options.get(name)
            if name == "layers":
                shapes += self._stack(value, address, dim)
            elif name == "width":
                if "encoder" not in options:
                    shapes.append(Card("Linear", "wiring", [f"{width:,} → {dim:,}"]))
            elif name == "stages":
                shapes += [
                    Frame(
                        Series(self._parts(stage, join(address, f"stages.{i}"), each)),
                        f"stage {i + 1}",
                        note=f"width {each:,}",
                        block=name_of(stage),
                    )
                    for i, (stage, each) in enumerate(zip(value, options["dims"], strict=True))
                ]
            elif name == "pooler":
                shapes.append(Side(f"pool: {name_of(value)}", out=True, block=name_of(value)))
            elif is_spec(value):
                early = name in ("embedding", "stem", "encoder", "patches", "reader")
                wide = width if early or (name == "decoder" and "patches" in options) else dim
                place = join(address, name)
                if "layers" not in value.keywords:
                    shape = self._part(value, place, wide)
                else:
                    shape = Series(self._parts(value, place, wide))
                    count = self.composer.count(place)
                    shape = Frame(shape, name, note=count, block=name_of(value))
                shapes.append(shape)
                if name == "embedding":
                    shapes.append(Words(f"[B {self._tokens} {wide:,}]", beside=True))
        return shapes

    def _part(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        return self.composer.flow(spec, address, dim)

    def _stack(self, layers: Sequence[Spec[Any]], address: str, dim: int) -> list[Shape]:
        home = self.parts[address]
        groups = [Group(p) for p in home.parts if p.name.startswith("layers.")]
        known = {group.first for group in groups}
        if not known:  # layers without a number of their own
            return [self._layer(layers[0], join(address, "layers.0"), dim, len(layers), "")]
        kinds = [layers[group.first] for group in groups]
        if len(set(kinds)) == 1:
            own = sum(g.times for g in groups if g.part.parameters)
            note = _each(groups[0].part)
            if own < len(layers):
                note += f", shared by {len(layers)}" if own == 1 else ""
            first = join(address, f"layers.{groups[0].first}")
            return [self._layer(kinds[0], first, dim, len(layers), note)]
        return [self._overview(groups, kinds, address, dim)]

    def _layer(self, spec: Spec[Any], address: str, dim: int, times: int, note: str) -> Frame:
        self.composer.piped = self._pair
        inner = self.composer.flow(spec, address, dim)
        self.composer.piped = False
        often = f"× {times}" if times > 1 else ""
        return Frame(inner, "layer", often, note, block=name_of(spec))

    def _overview(
        self, groups: list[Group], kinds: list[Spec[Any]], address: str, dim: int
    ) -> Shape:
        shapes: list[Shape] = []
        strips: list[Strip] = []
        for i, (group, kind) in enumerate(zip(groups, kinds, strict=True)):
            like, other = self._like(kind)
            letter = self._panel(like, group, address, dim)
            times = f" × {group.times}" if group.period == 1 and group.times > 1 else ""
            shared = ", shared" if group.part.parameters == 0 else ""
            shared += f", other {', '.join(other)}" if other else ""
            strips.append(Strip(group.numbers + times + shared, list(_cells(kind)), letter))
            last = i + 1 == len(groups)
            following = None if last else groups[i + 1]
            if last or following is None or _turn(group) != _turn(following):
                often = f"× {group.times}" if group.period > 1 else ""
                shapes.append(
                    Strips(strips) if not often else Frame(Strips(strips), times=often, dashed=True)
                )
                strips = []
        whole = Series(shapes, gap=10)
        return Frame(whole, f"{sum(g.times for g in groups)} layers", block="layers")

    def _like(self, kind: Spec[Any]) -> tuple[Spec[Any], list[str]]:
        """A kind whose drawing is the same, and the options that the drawing doesn't show."""
        for known in self._letters:
            other = unlike(known, kind)
            if other is not None and other <= QUIET - SAID:
                return known, sorted(other)
        return kind, []

    def _panel(self, kind: Spec[Any], group: Group, address: str, dim: int) -> str:
        if kind not in self._letters:
            at = len(self._letters)
            letter = _LETTERS[at] if at < len(_LETTERS) else str(at + 1)
            self._letters[kind] = letter
            first = join(address, f"layers.{group.first}")
            inner = self.composer.flow(kind, first, dim)
            note = _each(group.part)
            self.panels.append(Frame(inner, "layer", note=note, letter=letter, block=name_of(kind)))
        return self._letters[kind]


# What of an assembly comes after what; `children` that are not here follow at the end.
_ORDER = (
    *("embedding", "media", "stem", "encoder", "patches", "local", "molecules", "reader"),
    *("width", "positions", "body", "stages", "layers", "decoder", "final", "norm", "mix"),
    *("pooler", "head"),
)


def _all(part: Part) -> Iterator[Part]:
    yield part
    for inner in part.parts:
        yield from _all(inner)


def _sizes(head: Spec[Any]) -> list[str]:
    return list(signature(head.func).parameters)


def _each(part: Part) -> str:
    if not part.parameters:
        return "shared"
    return amount(part.parameters) + (" each" if part.times > 1 else "")


def _turn(group: Group) -> tuple[int, int]:
    return group.period, group.times if group.period > 1 else 1


def _cells(spec: Spec[Any]) -> Iterator[tuple[str, str]]:
    """The blocks of a layer that tell it from others."""
    kind, name = kind_of_block(spec), name_of(spec)
    if kind in ("attention", "mlp", "moe", "recurrent"):
        mask = spec.keywords.get("mask")
        size = getattr(mask, "size", None)
        yield kind, f"{name} {size:,}" if size else name
        return
    for _, option, _, part in children(spec):
        if not option.startswith("norm"):
            yield from _cells(part)
