"""What stands around and beside shapes: frames, columns, the two halves of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.surgery.drawing.canvas import Canvas, text_width
from blocks.surgery.drawing.shapes import Shape, badge

__all__: list[str] = []


@dataclass
class Frame(Shape):
    """Something drawn in a rounded box, with a heading and how often it comes."""

    inner: Shape
    title: str = ""
    times: str = ""
    note: str = ""
    letter: str = ""
    dashed: bool = False
    block: str = ""
    tip: str = ""

    def __post_init__(self) -> None:
        head = text_width(self.title, 12, True) + text_width(self.note, 10.5)
        head += 8 * bool(self.note) + (24 if self.letter else 0)
        often = text_width(self.times, 13, True) + 14 if self.times else 0
        self.left = self.inner.left + 14
        self.right = self.inner.right + 14
        if head + 26 > self.left:  # the words stand beside the stream
            self.start = 14.0
            self.right = max(self.right, head + often + 26)
        else:
            self.start = 12 - self.left
            self.right = max(self.right, often + 20)
        self.height = self.inner.height + 48

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        at = (x - self.left, y, self.width, self.height)
        with canvas.box(
            at,
            "frame",
            "frame-line",
            block=self.block,
            tip=self.tip,
            radius=10,
            dashed=self.dashed,
        ):
            start = x + self.start
            if self.letter:
                badge(canvas, self.letter, start + 9, y + 17)
                start += 24
            if self.title:
                canvas.text((start, y + 21), self.title, 12, bold=True)
            if self.note:
                after = start + text_width(self.title, 12, True) + 8
                canvas.text((after, y + 21), self.note, 10.5, colour="muted")
            if self.times:
                right = x + self.right - 12
                canvas.text((right, y + 21.5), self.times, 13, bold=True, anchor="end")
            inner = y + 36
            canvas.line(((x, y + self.height), (x, inner + self.inner.height)), "stream", width=2)
            canvas.line(((x, inner), (x, y)), "stream", width=2)
            self.inner.draw(canvas, x, inner)


@dataclass
class Columns(Shape):
    """Shapes beside each other, on one ground; it has no axis of its own."""

    shapes: Sequence[Shape]
    gap: float = 28

    def __post_init__(self) -> None:
        self.right = sum(s.width for s in self.shapes) + self.gap * (len(self.shapes) - 1)
        self.height = max(s.height for s in self.shapes)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        for shape in self.shapes:
            shape.draw(canvas, x + shape.left, y + self.height - shape.height)
            x += shape.width + self.gap


class Pair(Columns):
    """An encoder, a decoder, and the line from one to the other."""

    def __init__(self, encoder: Shape, decoder: Shape):
        super().__init__((encoder, decoder), 46)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        before = len(canvas.ports)
        super().draw(canvas, x, y)
        encoder = self.shapes[0]
        axis, top = x + encoder.left, y + self.height - encoder.height
        gutter = x + encoder.width + 23
        for px, py in canvas.ports[before:]:
            canvas.line(((gutter + 8, py), (px, py)), "frame", width=6)
            ends = ((gutter, top - 14), (gutter, py), (px, py))
            canvas.line(((axis, top), (axis, top - 14), *ends), "wire", arrow=True)


class Grid(Shape):
    """Shapes in rows, where nothing is known of how they follow one another."""

    def __init__(self, shapes: Sequence[Shape], most: float = 620):
        self.rows: list[list[Shape]] = []
        for shape in shapes:
            row = self.rows[-1] if self.rows else []
            if row and sum(s.width + 12 for s in row) + shape.width <= most:
                row.append(shape)
            else:
                self.rows.append([shape])
        wide = max(sum(s.width for s in row) + 12 * (len(row) - 1) for row in self.rows)
        self.left = self.right = wide / 2
        self.height = sum(self._high(row) for row in self.rows) + 12 * (len(self.rows) - 1)

    @staticmethod
    def _high(row: list[Shape]) -> float:
        return max(shape.height for shape in row)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        for row in self.rows:
            at = x - self.left
            for shape in row:
                shape.draw(canvas, at + shape.left, y)
                at += shape.width + 12
            y += self._high(row) + 12
