"""Many of a kind in little room: the layers of a stack, the experts of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blocks.surgery.drawing.canvas import Canvas, text_width
from blocks.surgery.drawing.shapes import Shape, badge

__all__: list[str] = []


@dataclass
class Strip:
    """A layer in the overview of a stack: what it is made of, in colours."""

    numbers: str
    cells: Sequence[tuple[str, str]]  # kind and text
    letter: str

    @property
    def widths(self) -> list[float]:
        return [text_width(text, 10.5) + 14 for _, text in self.cells]


class Strips(Shape):
    """Layers as strips, the first at the foot, each with the letter of its drawing.

    Args:
        strips: one a layer, or a run of equal ones.
    """

    STEP = 25.0

    def __init__(self, strips: Sequence[Strip]):
        self.strips = strips
        many = {len(s.cells) for s in strips}
        if len(many) == 1:
            columns = zip(*(s.widths for s in strips), strict=True)
            self.columns = [max(column) for column in columns]
        else:
            self.columns = []
        self.wide = sum(self.columns) or max(sum(s.widths) for s in strips)
        numbers = max(text_width(s.numbers, 10.5) for s in strips) + 10
        self.left = self.wide / 2 + 26
        self.right = self.wide / 2 + numbers
        self.height = self.STEP * len(strips) - 3

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        down = y + self.height
        for strip in self.strips:
            top = down - 22
            at = x - self.wide / 2
            badge(canvas, strip.letter, at - 15, top + 11)
            share = self.wide / sum(strip.widths)
            widths = self.columns or [wide * share for wide in strip.widths]
            for (kind, text), wide in zip(strip.cells, widths, strict=True):
                canvas.kinds.setdefault(kind)
                with canvas.box((at, top, wide, 22), kind, f"{kind}-line", radius=3):
                    canvas.text((at + wide / 2, top + 14.8), text, 10.5, anchor="middle")
                at += wide
            canvas.text((at + 8, top + 14.8), strip.numbers, 10.5, colour="muted")
            down -= self.STEP


class Experts(Shape):
    """A router, the experts it chooses among, and those that every token meets.

    Args:
        router: what is drawn for it.
        count: how many experts.
        chosen: how many of them a token goes to.
        shared: the name of the expert of all tokens, if there is one.
    """

    def __init__(self, router: Shape, count: int, chosen: int, shared: str = ""):
        self.router, self.count, self.chosen = router, count, chosen
        shown = min(count, 5)
        self.names = [str(i + 1) for i in range(shown)]
        if count > shown:
            self.names[-2:] = ["…", f"{count:,}"]
        self.each = max(34.0, text_width(self.names[-1], 11) + 12)
        self.row = self.each * shown + 6 * (shown - 1)
        self.shared = shared
        self.extra = text_width(shared, 11) + 34 if shared else 0
        core = max(self.row, router.width)
        self.left = core / 2
        self.right = core / 2 + self.extra
        self.height = router.height + 26 + 28 + 34

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        join, top = y + 10, y + 34
        foot = y + self.height - self.router.height
        # A token's experts are spread over the row: the picture is of any token.
        lit = {1: {1}, 2: {0, 2}}.get(self.chosen, {0, 1, 2})
        lit = {at for at in lit if at < len(self.names) and self.names[at] != "…"}
        order = sorted(range(len(self.names)), key=lambda i: i in lit)
        for i in order:
            name = self.names[i]
            left = x - self.row / 2 + i * (self.each + 6)
            middle, on = left + self.each / 2, i in lit
            if name == "…":
                canvas.text((middle, top + 18), name, 11, anchor="middle")
                continue
            colour = "moe-line" if on else "frame-line"
            canvas.line(_bend(x, foot, middle, top + 28), colour, dashed=not on, arrow=on)
            if on:
                canvas.line(_bend(middle, top, x, join + 8), "moe-line")
            at = (left, top, self.each, 28)
            with canvas.box(at, "mlp" if on else "paper", "mlp-line" if on else "frame-line"):
                canvas.text((middle, top + 18), name, 11, anchor="middle")
        if self.shared:
            left = x + max(self.row, self.router.width) / 2 + 18
            wide = text_width(self.shared, 11) + 16
            middle = left + wide / 2
            canvas.line(((middle, y + self.height), (middle, top + 28)), "moe-line", arrow=True)
            canvas.line(((middle, top), (middle, join), (x + 8, join)), "moe-line", arrow=True)
            with canvas.box((left, top, wide, 28), "mlp", "mlp-line"):
                canvas.text((middle, top + 18), self.shared, 11, anchor="middle")
        canvas.sign((x, join), "+", "moe-line")
        self.router.draw(canvas, x, foot)


def _bend(x: float, y: float, end: float, level: float) -> Any:
    middle = (y + level) / 2
    if abs(end - x) < 1:
        return ((x, y), (x, level))
    return ((x, y), (x, middle), (end, middle), (end, level))
