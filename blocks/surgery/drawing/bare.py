"""The picture of a block without a Spec: its parts, of which nobody said how they are joined."""

from __future__ import annotations

from blocks.surgery.drawing.ground import Grid
from blocks.surgery.drawing.shapes import Card
from blocks.surgery.drawing.wording import amount, kind_of_home
from blocks.surgery.tree.parts import Part

__all__: list[str] = []

_LINE = 48  # characters


def bare(part: Part) -> Card:
    """A Part as a box with its name, options and shapes, and its parts as boxes inside."""
    name = part.block.rpartition("(")[2].rstrip(")")
    lines = [f"{key} {text}"[:_LINE] for key, text in part.options.items()]
    lines += [f"{key} {' × '.join(map(str, shape))}" for key, shape in part.shapes.items()]
    times = f"{part.times} × " if part.times > 1 else ""
    title = f"{part.name}: {name}" if part.name else name
    return Card(
        title,
        kind_of_home(part._home),
        lines,
        count=times + amount(part.parameters) if part.parameters else "",
        inside=Grid([bare(inner) for inner in part.parts]) if part.parts else None,
        block=name,
        tip=part.address,
    )
