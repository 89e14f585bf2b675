"""What follows one another, what branches off, what comes in from the side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from blocks.surgery.drawing.canvas import Canvas, text_width
from blocks.surgery.drawing.shapes import Shape, Words

__all__: list[str] = []

GAP = 16.0  # between what follows one another


class Series(Shape):
    """One shape after another, the first at the foot."""

    def __init__(self, shapes: Sequence[Shape], colour: str = "stream", gap: float = GAP):
        self.shapes, self.colour, self.gap = list(shapes), colour, gap
        branches = [b for s in shapes for b in _branches(s)]
        for branch in branches:  # on one axis
            branch.extend(max(b.reach for b in branches))
        for shape in shapes:
            if isinstance(shape, Series):
                shape.measure()
        self.measure()

    def measure(self) -> None:
        shapes, gap = self.shapes, self.gap
        self.left = max((s.left for s in shapes), default=0)
        self.right = max((s.right for s in shapes), default=0)
        self.height = sum(s.height for s in shapes) + gap * max(len(shapes) - 1, 0)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        down = y + self.height
        for i, shape in enumerate(self.shapes):
            top = down - shape.height
            if i:
                into = not isinstance(shape, Branch | Words | Side)
                ends = ((x, down + self.gap), (x, down))
                canvas.line(
                    ends, self.colour, width=2 if self.colour == "stream" else 1.4, arrow=into
                )
            shape.draw(canvas, x, top)
            down = top - self.gap


def _branches(shape: Shape) -> list[Branch]:
    if isinstance(shape, Series):
        return [s for s in shape.shapes if isinstance(s, Branch)]
    return [shape] if isinstance(shape, Branch) else []


@dataclass
class Branch(Shape):
    """The residual stream goes straight on; a branch leaves it and is added to it again."""

    inner: Shape
    carry: str = ""
    scale: str = ""

    def __post_init__(self) -> None:
        before = text_width(self.carry, 10.5) + 8 if self.carry else 0
        self.left = max(10.0, before)
        self.height = self.inner.height + 48
        self.extend(26 + max(self.inner.left, text_width(self.scale, 10.5) + 4))

    def extend(self, reach: float) -> None:
        """Puts the branch so far from the stream."""
        self.reach = reach
        self.right = reach + self.inner.right

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        foot, join, side = y + self.height, y + 10, x + self.reach
        inner = y + 28
        canvas.line(((x, foot), (x, join + 8)), "stream", width=2, arrow=True)
        canvas.line(((x, join - 8), (x, y)), "stream", width=2)
        fork = foot - 6
        canvas.sign((x, fork), ".")
        up = inner + self.inner.height
        canvas.line(((x, fork), (side, fork), (side, up)), arrow=not isinstance(self.inner, Fork))
        canvas.line(((side, inner), (side, join), (x + 8, join)), arrow=True)
        canvas.sign((x, join), "+")
        self.inner.draw(canvas, side, inner)
        if self.scale:
            canvas.text((x + 18, join - 3), self.scale, 10.5, colour="muted")
        if self.carry:
            at = (x - 6, y + self.height / 2)
            canvas.text(at, self.carry, 10.5, colour="muted", anchor="end")


@dataclass
class Fork(Shape):
    """Branches side by side that read the same and are merged."""

    branches: Sequence[Shape]
    sign: str = "+"
    _axes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        at = 0.0
        for branch in self.branches:
            self._axes.append(at + branch.left)
            at += branch.width + 18
        whole = at - 18
        self.left = (self._axes[0] + self._axes[-1]) / 2
        self.right = whole - self.left
        self.height = max(b.height for b in self.branches) + 50

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        foot, join = y + self.height, y + 10
        split = foot - 8
        canvas.line(((x, foot), (x, split)))
        canvas.line(((x, join - 8), (x, y)))
        for axis, branch in zip(self._axes, self.branches, strict=True):
            at = x - self.left + axis
            top = foot - 22 - branch.height
            level = abs(at - x) > 1
            start = ((x, split), (at, split)) if level else ((x, split),)
            canvas.line((*start, (at, foot - 22)), arrow=True)
            end = x + 8 if at > x else x - 8
            stop = ((at, join), (end, join)) if level else ((at, join + 8),)
            canvas.line(((at, top), *stop), arrow=True)
            branch.draw(canvas, at, top)
        canvas.sign((x, join), self.sign, "wire")


@dataclass
class Side(Shape):
    """What joins the stream from elsewhere, or leaves it for elsewhere, by a name."""

    name: str
    sign: str = "."
    out: bool = False
    block: str = ""

    def __post_init__(self) -> None:
        self.wide = text_width(self.name, 10.5) + 16
        self.left, self.right, self.height = 9, 30 + self.wide, 24

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        canvas.kinds.setdefault("wiring")
        level, start = y + 12, x + 30
        reach = 3 if self.sign == "." else 8
        canvas.line(((x, y + 24), (x, level + reach)), "stream", width=2)
        canvas.line(((x, level - reach), (x, y)), "stream", width=2)
        ends = ((x + reach, level), (start, level))
        canvas.line(ends if self.out else ends[::-1], "wiring-line", dashed=True, arrow=True)
        canvas.sign((x, level), self.sign)
        with canvas.box(
            (start, level - 9, self.wide, 18), "wiring", "wiring-line", block=self.block, radius=9
        ):
            canvas.text((start + 8, level + 3.7), self.name, 10.5)


@dataclass
class Reader(Shape):
    """A block that reads what another part of the model made."""

    card: Shape
    name: str = ""  # where no line brings it

    def __post_init__(self) -> None:
        self.left, self.height = self.card.left, self.card.height
        self.wide = text_width(self.name, 10.5) + 16 if self.name else 0
        self.right = self.card.right + (22 + self.wide if self.name else 0)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        level = y + self.height / 2
        self.card.draw(canvas, x, y)
        if not self.name:
            canvas.ports.append((x - self.left, level))
            return
        start = x + self.card.right + 22
        canvas.line(((start, level), (x + self.card.right, level)), arrow=True, dashed=True)
        with canvas.box((start, level - 9, self.wide, 18), "wiring", "wiring-line", radius=9):
            canvas.text((start + 8, level + 3.7), self.name, 10.5)
