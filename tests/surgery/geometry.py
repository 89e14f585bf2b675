"""What is wrong with a picture: boxes that meet or stick out, words that don't fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from blocks.surgery.drawing.canvas import text_width

SVG = "{http://www.w3.org/2000/svg}"
SLACK = 0.2  # pixels, as numbers are rounded

Area = tuple[float, float, float, float]


@dataclass
class Box:
    """A rectangle: where it is, what it is in, and the block it stands for."""

    area: Area
    within: tuple[int, ...]
    block: str


@dataclass
class Words:
    """A line of text."""

    text: str
    area: Area
    within: tuple[int, ...]


class Picture:
    """The boxes and words of an SVG.

    Args:
        svg: its text.
    """

    def __init__(self, svg: str):
        root = ElementTree.fromstring(svg)
        self.canvas = (0.0, 0.0, float(root.get("width", 0)), float(root.get("height", 0)))
        self.boxes: list[Box] = []
        self.words: list[Words] = []
        self._read(root, ())

    def _read(self, element: ElementTree.Element, within: tuple[int, ...]) -> None:
        for part in element:
            if part.tag == f"{SVG}g":
                rect = part.find(f"{SVG}rect")
                assert rect is not None
                x, y, width, height = (float(rect.get(k, 0)) for k in ("x", "y", "width", "height"))
                self.boxes.append(Box((x, y, width, height), within, part.get("data-block", "")))
                self._read(part, (*within, len(self.boxes) - 1))
            elif part.tag == f"{SVG}text":
                self.words.append(Words(part.text or "", _area(part), within))

    @property
    def blocks(self) -> set[str]:
        """The classes that are drawn."""
        return {box.block for box in self.boxes}

    def faults(self) -> Iterator[str]:
        """All that is wrong, in words."""
        for at, box in enumerate(self.boxes):
            if not _inside(box.area, self._around(box.within)):
                yield f"{box} sticks out"
            for other in self.boxes[:at]:
                if other.within == box.within and _meet(box.area, other.area):
                    yield f"{box} meets {other}"
        for at, words in enumerate(self.words):
            if not _inside(words.area, self._around(words.within)):
                yield f"{words} doesn't fit {self._around(words.within)}"
            for number, box in enumerate(self.boxes):
                if number not in words.within and _meet(words.area, box.area):
                    yield f"{words} is written over {box}"
            for other in self.words[:at]:
                if _meet(words.area, other.area):
                    yield f"{words} is written over {other}"

    def _around(self, within: tuple[int, ...]) -> Area:
        return self.boxes[within[-1]].area if within else self.canvas


def _area(text: ElementTree.Element) -> Area:
    size = float(text.get("font-size", 0))
    width = text_width(text.text or "", size, text.get("font-weight") is not None)
    before = {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
    x, y = float(text.get("x", 0)) - before, float(text.get("y", 0))
    return x, y - 0.75 * size, width, 0.95 * size


def _inside(inner: Area, outer: Area) -> bool:
    (x, y, width, height), (left, top, wide, high) = inner, outer
    level = x > left - SLACK and x + width < left + wide + SLACK
    return level and y > top - SLACK and y + height < top + high + SLACK


def _meet(one: Area, other: Area) -> bool:
    (x, y, width, height), (left, top, wide, high) = one, other
    level = x + SLACK < left + wide and left + SLACK < x + width
    return level and y + SLACK < top + high and top + SLACK < y + height
