"""The picture of one block: what flows through its parts, in rows from the input to the output."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from torch import nn
from tracing import Node

from blocks.surgery.drawing.canvas import Canvas, text_width
from blocks.surgery.drawing.shapes import Card, Shape
from blocks.surgery.drawing.wording import kind_of_home

Letters = tuple[dict[int, str], dict[int, str]]  # of a first size, and of all

GAP, BETWEEN, MARGIN = 30.0, 16.0, 20.0
LABEL = 15.0  # room for a shape over a box


class Sheet(Canvas):
    """A canvas with curves."""

    def curve(self, start: tuple[float, float], end: tuple[float, float], arrow: bool) -> None:
        """A line that leaves upwards and arrives upwards."""
        (x, y), (u, v) = start, end
        low = v + 6 if arrow else v
        if abs(u - x) < 1:
            self.line(((x, y), (u, v)), arrow=arrow)
            return
        middle = (y + low) / 2
        path = f"M{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {u:.1f} {middle:.1f} {u:.1f} {low:.1f}"
        self._parts.append(f'<path d="{path}" stroke-width="1.4"{self._ink(None, "wire")}/>')
        if arrow:
            self.line(((u, v + 6), (u, v)), arrow=True)


@dataclass
class Place:
    """A node with its place in the rows; one without a shape only lets a line pass."""

    shape: Shape | None
    label: str = ""
    comes: list[Place] = field(default_factory=list)
    goes: list[Place] = field(default_factory=list)
    x: float = 0
    top: float = 0
    foot: float = 0

    @property
    def width(self) -> float:
        if self.shape is None:
            return 10
        # A label stands beside the line in the middle of the box.
        return max(self.shape.width, 2 * (text_width(self.label, 10) + 8))

    @property
    def height(self) -> float:
        return (self.shape.height if self.shape else 0) + LABEL * bool(self.label)


def flowchart(module: nn.Module, nodes: list[Node], shown: Letters) -> str:
    """The SVG of a block.

    Args:
        module: the block.
        nodes: of `trace`.
        shown: letters for sizes in shapes.
    """
    title = type(module).__name__
    nodes = _folded(_pruned(nodes))
    if not any(node.kind == "part" for node in nodes):
        nodes = [*(n for n in nodes if n.kind == "input"), nodes[-1]]
        whole = Node("whole", title, comes=tuple(range(len(nodes) - 1)), module=module)
        nodes[-1].comes = (len(nodes) - 1,)
        nodes.insert(-1, whole)
    rows = _rows(nodes, shown)
    _arrange(rows)
    heights = [max(place.height for place in row) for row in rows]
    left = min(p.x - p.width / 2 for row in rows for p in row)
    right = max(p.x + p.width / 2 for row in rows for p in row)
    lines = [text for text in _own(module) if nodes[-2].kind != "whole"]
    words = max([text_width(title, 14, True), *(text_width(text, 11) for text in lines)])
    width = max(right - left + 28, words) + 2 * MARGIN
    head = MARGIN + 22 + 16 * len(lines)
    offset = (width - left - right) / 2
    down = head
    canvas = Sheet("auto")
    canvas.text((MARGIN, MARGIN + 10), title, 14, bold=True)
    for at, text in enumerate(lines):
        canvas.text((MARGIN, MARGIN + 28 + 16 * at), text, 11, colour="muted")
    for row, high in zip(reversed(rows), reversed(heights), strict=True):
        for place in row:
            place.x += offset
            place.top = down + high - (place.height if place.shape else high)
            place.foot = down + high
        down += high + GAP
    top = head + heights[-1] + GAP / 2
    foot = down - GAP - heights[0] - GAP / 2
    with canvas.box(
        (MARGIN, top, width - 2 * MARGIN, foot - top), "frame", "frame-line", radius=10
    ):
        for place in (place for row in rows for place in row):
            _lines(canvas, place)
        for place in (place for row in rows[1:-1] for place in row):
            _draw(canvas, place)
    for place in (*rows[0], *rows[-1]):
        _draw(canvas, place)
    return canvas.svg(width, down - GAP + MARGIN, title)


def _own(module: nn.Module) -> list[str]:
    """The block's own parameters, in words."""
    found = module.named_parameters(recurse=False)
    return [f"{name} {' × '.join(f'{n:,}' for n in tensor.shape)}" for name, tensor in found]


def _draw(canvas: Sheet, place: Place) -> None:
    if place.shape is None:
        return
    under = LABEL * bool(place.label)
    place.shape.draw(canvas, place.x, place.top + under)
    if place.label:
        canvas.text((place.x + 6, place.top + 10), place.label, 10, colour="muted")


def _lines(canvas: Sheet, place: Place) -> None:
    if place.shape is None or place.label:  # straight through, or past the label
        end = place.foot if place.shape is None else place.top + LABEL
        canvas.line(((place.x, end), (place.x, place.top)))
    for source in place.comes:
        canvas.curve((source.x, source.top), (place.x, place.foot), arrow=bool(place.shape))


def _pruned(nodes: list[Node]) -> list[Node]:
    """Without parts that nobody reads, such as a dropout that does nothing."""
    used = {len(nodes) - 1}
    for at in range(len(nodes) - 1, -1, -1):
        used |= set(nodes[at].comes) if at in used else set()
    used |= {0}  # an input, though nobody knows what becomes of it
    kept = [at for at in range(len(nodes)) if at in used]
    return _renumbered(nodes, {at: kept.index(at) for at in kept}, kept)


def _renumbered(nodes: list[Node], to: dict[int, int], kept: list[int]) -> list[Node]:
    for at in kept:
        nodes[at].comes = tuple(dict.fromkeys(to[c] for c in nodes[at].comes if c in to))
    return [nodes[at] for at in kept]


def _folded(nodes: list[Node]) -> list[Node]:
    """Parts of one list that do the same, as one."""
    firsts: dict[object, int] = {}
    to: dict[int, int] = {}
    kept: list[int] = []
    for at, node in enumerate(nodes):
        stem, _, number = node.name.rpartition(".")
        comes = tuple(to[c] for c in node.comes)
        alike = (stem, type(node.module), comes) if number.isdecimal() else at
        first = firsts.setdefault(alike, at)
        if first == at:
            to[at] = len(kept)
            kept.append(at)
        else:
            to[at] = to[first]
            nodes[first].times += 1
            nodes[first].name = f"{stem}.{nodes[first].name.split('.')[-1].split('–')[0]}–{number}"
    return _renumbered(nodes, to, kept)


def _depths(nodes: list[Node]) -> list[int]:
    depths = [0] * len(nodes)
    for at, node in enumerate(nodes):
        if node.kind != "input":
            depths[at] = 1 + max((depths[c] for c in node.comes), default=0)
    for at in range(len(nodes) - 2, -1, -1):  # what reads nothing stands under who reads it
        readers = [depths[r] for r, node in enumerate(nodes) if at in node.comes]
        if readers and not nodes[at].comes and nodes[at].kind != "input":
            depths[at] = min(readers) - 1
    depths[-1] = max(depths[:-1]) + 1
    return depths


def _rows(nodes: list[Node], shown: Letters) -> list[list[Place]]:
    depths = _depths(nodes)
    rows: list[list[Place]] = [[] for _ in range(depths[-1] + 1)]
    places: list[Place] = []
    for node, depth in zip(nodes, depths, strict=True):
        place = Place(*_shape(node, shown))
        for source in node.comes:
            last = places[source]
            for between in range(depths[source] + 1, depth):
                passing = Place(None)
                _join(last, passing)
                rows[between].append(passing)
                last = passing
            _join(last, place)
        rows[depth].append(place)
        places.append(place)
    return rows


def _join(source: Place, place: Place) -> None:
    source.goes.append(place)
    place.comes.append(source)


def _arrange(rows: list[list[Place]]) -> None:
    """Orders every row by its neighbours, and moves boxes over what they read."""
    for row in rows:
        _spread(row)
    for sweep in range(12):
        down = sweep % 2
        for row in reversed(rows) if down else rows:
            for place in row:
                near = place.goes if down else place.comes
                if near:
                    place.x = sum(p.x for p in near) / len(near)
            if sweep < 6:
                row.sort(key=lambda p: p.x)
            _spread(row)


def _spread(row: list[Place]) -> None:
    """Pushes neighbours apart, around the middle of where they wanted to be."""
    wanted = sum(p.x for p in row) / len(row)
    for one, other in pairwise(row):
        least = one.x + (one.width + other.width) / 2 + BETWEEN
        other.x = max(other.x, least)
    shift = wanted - sum(p.x for p in row) / len(row)
    for place in row:
        place.x += shift


def shape_text(shape: tuple[int, ...], shown: Letters) -> str:
    """A shape with letters for batch and tokens."""
    first, rest = shown
    said = [first.get(size) or rest.get(size) or f"{size:,}" for size in shape[:1]]
    said += [rest.get(size) or f"{size:,}" for size in shape[1:]]
    return f"[{' '.join(said)}]" if shape else ""


def _shape(node: Node, shown: Letters) -> tuple[Shape, str]:
    if node.kind in ("input", "output"):
        return Card(f"{node.name} {shape_text(node.shape, shown)}".strip(), "frame"), ""
    if node.kind == "work":
        return Card(node.name, "frame"), ""
    assert node.module is not None
    name = type(node.module).__name__
    kind = kind_of_home(type(node.module).__module__)
    if node.kind == "whole":
        return Card(name, kind, _own(node.module), block=name), ""
    lines = [name]
    if isinstance(node.module, nn.Linear):
        lines = [f"{name} {node.module.in_features:,} → {node.module.out_features:,}"]
    often = f"× {node.times}" if node.times > 1 else ""
    sure = node.shape[:1] and node.shape[0] in shown[0]  # else it depends on what is read
    label = shape_text(node.shape, shown) if sure or not often else ""
    return Card(node.name, kind, lines, count=often, block=name), label
