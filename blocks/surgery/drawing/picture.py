"""draw: the picture of an architecture, made from its Spec."""

from __future__ import annotations

from typing import Any

from blocks.spec import Spec
from blocks.surgery.drawing.assembly import Assembly
from blocks.surgery.drawing.bare import bare
from blocks.surgery.drawing.canvas import Canvas, Theme, text_width
from blocks.surgery.drawing.ground import Columns
from blocks.surgery.drawing.shapes import Shape
from blocks.surgery.drawing.wording import LEGEND, amount
from blocks.surgery.tree.parts import Part

__all__: list[str] = []

_MARGIN = 24.0
_ROW = 4  # panels beside each other
_LEAST = 360.0  # pixels


def picture(spec: Spec[Any] | None, root: Part, title: str, theme: Theme = "auto") -> str:
    """The SVG of a model.

    Args:
        spec: of the model; None draws the Part alone.
        root: its Part, for the numbers.
        title: the heading.
        theme: as of `draw`.
    """
    canvas = Canvas(theme)
    made = None if spec is None else Assembly(spec, root)
    panels = made.panels if made else []
    shapes: list[Shape] = [made.shape if made else bare(root)]
    rows = [panels[i : i + _ROW] for i in range(0, len(panels), _ROW)]
    first, *more = rows or [[]]
    body = [Columns([*shapes, *first]), *(Columns(row) for row in more)]
    width = max([_LEAST, *(shape.width for shape in body)]) + 2 * _MARGIN
    lines = _lines(_told(spec, root), width - 2 * _MARGIN)
    canvas.text((_MARGIN, 38), title, 18, bold=True)
    y = 40.0
    for line in lines:
        y += 18
        canvas.text((_MARGIN, y), line, 12, colour="muted")
    y += 24
    for shape in body:
        spare = (width - 2 * _MARGIN - shape.width) / 2
        shape.draw(canvas, _MARGIN + spare, y)
        y += shape.height + 28
    y = _legend(canvas, y - 4, width)
    return canvas.svg(max(width, text_width(title, 18, True) + 2 * _MARGIN), y + 18, title)


def _lines(said: list[str], width: float) -> list[str]:
    lines: list[str] = []
    for text in said:
        if lines and text_width(f"{lines[-1]} · {text}", 12) <= width:
            lines[-1] += f" · {text}"
        else:
            lines.append(text)
    return lines


def _told(spec: Spec[Any] | None, root: Part) -> list[str]:
    options = {} if spec is None else spec.keywords
    said = [root.block, f"{amount(root.parameters)} parameters"]
    for option, words in (("dim", "width"), ("vocab", "vocabulary"), ("context", "context")):
        if options.get(option):
            said.append(f"{words} {options[option]:,}")
    return said


def _legend(canvas: Canvas, y: float, width: float) -> float:
    x = _MARGIN
    y += 12
    for kind, words in LEGEND.items():
        if kind not in canvas.kinds:
            continue
        wide = 18 + text_width(words, 10.5) + 16
        if x + wide > width - _MARGIN and x > _MARGIN:
            x, y = _MARGIN, y + 18
        with canvas.box((x, y - 9, 12, 12), kind, f"{kind}-line", radius=3):
            pass
        canvas.text((x + 18, y + 1), words, 10.5, colour="muted")
        x += wide
    return y
