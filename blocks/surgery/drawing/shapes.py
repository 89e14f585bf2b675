"""What a picture is put together from: each shape knows its size and draws itself.

What flows through a model enters a shape at its foot and leaves it at its head, on an upright axis;
`left` and `right` say how far the shape reaches on either side of that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blocks.surgery.drawing.canvas import Canvas, text_width

__all__: list[str] = []

PAD = 10.0  # inside a box
LINE = 15.0  # of text


class Shape(ABC):
    """Something with a size that can be drawn."""

    left: float = 0
    right: float = 0
    height: float = 0

    @abstractmethod
    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draws it with its axis at x and its upper edge at y."""

    @property
    def width(self) -> float:
        return self.left + self.right


@dataclass
class Chip:
    """A part of a block that is no block of its own in the picture."""

    text: str
    kind: str
    block: str = ""
    tip: str = ""

    @property
    def width(self) -> float:
        return text_width(self.text, 10.5) + 14


class Card(Shape):
    """A block: its name, what it has, its parts as chips; a mask as a small picture.

    Args:
        title: the first line.
        kind: of the colour.
        lines: further lines.
        chips: parts, set in rows.
        glyph: which of n × n pairs of places see each other, and what that is called.
        count: parameters, in words.
        inside: a shape that stands in the box, under the title.
        block: the class that is drawn.
        tip: what is shown where a reader points at it.
    """

    def __init__(
        self,
        title: str,
        kind: str,
        lines: Sequence[str] = (),
        chips: Sequence[Chip] = (),
        glyph: tuple[Callable[[int, int], bool] | None, str] | None = None,
        *,
        count: str = "",
        inside: Shape | None = None,
        block: str = "",
        tip: str = "",
    ):
        self.title, self.kind, self.lines, self.glyph = title, kind, lines, glyph
        self.count, self.inside, self.block, self.tip = count, inside, block or title, tip
        self.slim = not (lines or chips or glyph or inside)
        head = text_width(title, 12.5, True) + (text_width(count, 10.5) + 18 if count else 0)
        within = [head, *(text_width(line, 11) for line in lines), 84.0]
        within += [chip.width for chip in chips]
        if glyph:
            within.append(text_width(glyph[1], 11) + 30)
        if inside:
            within.append(inside.width)
        wide = max(within)
        room = max(wide, 170.0)
        self.rows: list[list[Chip]] = []
        for chip in chips:
            row = self.rows[-1] if self.rows else []
            if row and sum(c.width + 5 for c in row) + chip.width <= room:
                row.append(chip)
            else:
                self.rows.append([chip])
        rows = [sum(c.width for c in row) + 5 * (len(row) - 1) for row in self.rows]
        self.left = self.right = max([wide, *rows]) / 2 + PAD
        self.height = 26.0
        if not self.slim:
            self.height = 14 + LINE * (1 + len(lines)) + 23 * len(self.rows)
            self.height += 28 if glyph else 0
            self.height += inside.height + 10 if inside else 0

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        canvas.kinds.setdefault(self.kind)
        at = (x - self.left, y, self.width, self.height)
        with canvas.box(at, self.kind, f"{self.kind}-line", block=self.block, tip=self.tip):
            start, end = x - self.left + PAD, x + self.right - PAD
            if self.slim and not self.count:
                canvas.text((x, y + 17.2), self.title, 12, anchor="middle")
                return
            canvas.text((start, y + 17.5), self.title, 12.5, bold=True)
            if self.count:
                canvas.text((end, y + 17.5), self.count, 10.5, colour="muted", anchor="end")
            down = y + 18.0
            for line in self.lines:
                down += LINE
                canvas.text((start, down), line, 11)
            for row in self.rows:
                self._row(canvas, row, start, down + 6)
                down += 23
            if self.glyph:
                _glyph(canvas, self.glyph[0], start, down + 6)
                canvas.text((start + 30, down + 20.5), self.glyph[1], 11)
                down += 28
            if self.inside:
                self.inside.draw(canvas, start + self.inside.left + self._spare / 2, down + 10)

    @property
    def _spare(self) -> float:
        return self.width - 2 * PAD - (self.inside.width if self.inside else 0)

    @staticmethod
    def _row(canvas: Canvas, row: list[Chip], x: float, y: float) -> None:
        for chip in row:
            canvas.kinds.setdefault(chip.kind)
            at = (x, y, chip.width, 18)
            with canvas.box(
                at, chip.kind, f"{chip.kind}-line", block=chip.block, tip=chip.tip, radius=9
            ):
                canvas.text((x + 7, y + 12.7), chip.text, 10.5)
            x += chip.width + 5


def _glyph(canvas: Canvas, seen: Callable[[int, int], bool] | None, x: float, y: float) -> None:
    """Who sees whom, as a chessboard: a row for each place that looks."""
    n, size = 7, 3.0
    with canvas.box((x, y, n * size + 1, n * size + 1), "paper", "attention-line", radius=1):
        for q in range(n):
            row = [k for k in range(n) if seen and seen(q, k)]
            start = 0
            while start < len(row):  # neighbours in one stroke
                end = start
                while end + 1 < len(row) and row[end + 1] == row[end] + 1:
                    end += 1
                left, right = x + 0.5 + row[start] * size, x + 0.5 + (row[end] + 1) * size
                level = y + 0.5 + (q + 0.5) * size
                canvas.line(((left, level), (right, level)), "attention-line", width=size + 0.3)
                start = end + 1


@dataclass
class Words(Shape):
    """A line of text on the axis, or at its side."""

    text: str
    beside: bool = False
    colour: str = "muted"
    size: float = 11
    bold: bool = False

    def __post_init__(self) -> None:
        wide = text_width(self.text, self.size, self.bold)
        self.left, self.right = (0, wide + 8) if self.beside else (wide / 2, wide / 2)
        self.height = self.size + 5

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        if self.beside:
            canvas.line(((x, y + self.height), (x, y)), "stream", width=2)
        at = (x + 8 if self.beside else x, y + self.size + 0.5)
        anchor = "start" if self.beside else "middle"
        canvas.text(at, self.text, self.size, colour=self.colour, bold=self.bold, anchor=anchor)


def badge(canvas: Canvas, letter: str, x: float, y: float) -> None:
    with canvas.box((x - 9, y - 9, 18, 18), "stream", None, radius=9):
        canvas.text((x, y + 4), letter, 11, colour="paper", bold=True, anchor="middle")
