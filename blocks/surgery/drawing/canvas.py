"""A picture as text: boxes in boxes, lines and words, written as SVG without help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Literal

__all__: list[str] = []

Theme = Literal["auto", "light", "dark"]
Point = tuple[float, float]

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
# Thousandths of the size that letters are wide in Helvetica, and in what is drawn like it.
_WIDTHS = {
    letter: width
    for width, letters in {
        222: "ijl",
        260: "|",
        278: "!,./:;I[]\\ ft·",
        333: "()-`r{}",
        390: "*\"'^",
        500: "Jckssvxyz",
        556: "#$?_0123456789LabdeghnopquΓδθ–",
        584: "+<=>~×±−",
        611: "FTZ",
        667: "&ABEKPSVXY",
        722: "CDHNRUw",
        778: "GOQ",
        833: "Mm",
        889: "%",
        944: "W",
    }.items()
    for letter in letters
}
_OTHER = 1000
_SPARE = 1.04  # other fonts of a system are a little wider

# A colour is its light and its dark value: paper, ink, and a fill and a line for each kind.
COLOURS = {
    "paper": ("#ffffff", "#14171c"),
    "ink": ("#1d2430", "#eef1f5"),
    "muted": ("#5d6878", "#9fabba"),
    "wire": ("#6f7a89", "#8b97a6"),
    "stream": ("#39424f", "#c9d1db"),
    "frame": ("#f7f8fa", "#1b2027"),
    "frame-line": ("#c9d0d9", "#3f4854"),
    "attention": ("#e2edfc", "#1d3557"),
    "attention-line": ("#3d76c2", "#6ea3e8"),
    "mlp": ("#fdecd6", "#4a3417"),
    "mlp-line": ("#c57a1f", "#e3a552"),
    "moe": ("#fbe1da", "#512a20"),
    "moe-line": ("#bf5237", "#e98a6d"),
    "norm": ("#f5f1d8", "#3c3919"),
    "norm-line": ("#a08f35", "#c9b959"),
    "recurrent": ("#dbf2e6", "#17402d"),
    "recurrent-line": ("#2f8d65", "#62c59a"),
    "positions": ("#ebe5fa", "#342a52"),
    "positions-line": ("#7558b8", "#a98ff0"),
    "ends": ("#fbe3ee", "#4b2238"),
    "ends-line": ("#b7467f", "#e582b2"),
    "wiring": ("#eceff3", "#2a313a"),
    "wiring-line": ("#76818f", "#8f9bab"),
}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is drawn, in pixels."""
    each = sum(_WIDTHS.get(letter, _OTHER) for letter in text)
    return each * size / 1000 * _SPARE * (1.07 if bold else 1)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """Collects what is drawn.

    Args:
        theme: `light` or `dark`, or `auto`: light, and dark where the reader's screen is.
    """

    def __init__(self, theme: Theme = "auto"):
        self.theme = theme
        self._parts: list[str] = []
        self.ports: list[Point] = []  # where what another part made is read
        self.kinds: dict[str, None] = {}  # of boxes, in order of appearance

    def _ink(self, fill: str | None, line: str | None) -> str:
        at = 1 if self.theme == "dark" else 0
        names = [f"f-{fill}"] * bool(fill) + [f"s-{line}"] * bool(line)
        colours = [COLOURS[name][at] if name else "none" for name in (fill, line)]
        told = f' class="{" ".join(names)}"' if self.theme == "auto" else ""
        return f'{told} fill="{colours[0]}" stroke="{colours[1]}"'

    @contextmanager
    def box(
        self,
        at: tuple[float, float, float, float],
        fill: str | None,
        line: str | None,
        *,
        block: str = "",
        tip: str = "",
        radius: float = 6,
        dashed: bool = False,
    ) -> Iterator[None]:
        """A rectangle (x, y, width, height); what is drawn inside the context is in it."""
        name = f' data-block="{escape(block)}"' if block else ""
        self._parts.append(f'<g class="box"{name}>')
        if tip:
            self._parts.append(f"<title>{escape(tip)}</title>")
        x, y, width, height = map(_number, at)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{_number(radius)}"'
            f"{self._ink(fill, line)}{dash}/>"
        )
        yield
        self._parts.append("</g>")

    def text(
        self,
        at: Point,
        text: str,
        size: float = 11,
        *,
        colour: str = "ink",
        bold: bool = False,
        anchor: Literal["start", "middle", "end"] = "start",
    ) -> None:
        """A line of text, by its base line."""
        weight = ' font-weight="600"' if bold else ""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(
            f'<text x="{_number(at[0])}" y="{_number(at[1])}" font-size="{_number(size)}"'
            f"{weight}{where}{self._ink(colour, None)}>{escape(text, quote=False)}</text>"
        )

    def line(
        self,
        points: Sequence[Point],
        colour: str = "wire",
        *,
        width: float = 1.4,
        arrow: bool = False,
        dashed: bool = False,
    ) -> None:
        """A line through points, its corners rounded; the arrow is at its end."""
        (x, y), path = points[0], ""
        path = f"M{_number(x)} {_number(y)}"
        for before, here, after in zip(points, points[1:], points[2:], strict=False):
            (ax, ay), (bx, by) = _toward(here, before), _toward(here, after)
            path += f"L{_number(ax)} {_number(ay)}Q{_number(here[0])} {_number(here[1])} "
            path += f"{_number(bx)} {_number(by)}"
        path += f"L{_number(points[-1][0])} {_number(points[-1][1])}"
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<path d="{path}" stroke-width="{_number(width)}"{self._ink(None, colour)}{dash}/>'
        )
        if arrow:
            self._head(points[-2], points[-1], colour)

    def _head(self, before: Point, tip: Point, colour: str) -> None:
        (ax, ay), (bx, by) = before, tip
        length = max(abs(bx - ax) + abs(by - ay), 1e-6)
        dx, dy = (bx - ax) / length * 6, (by - ay) / length * 6  # lines are upright or level
        corners = ((bx, by), (bx - dx - dy / 2, by - dy - dx / 2))
        corners += ((bx - dx + dy / 2, by - dy + dx / 2),)
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in corners)
        self._parts.append(f'<polygon points="{points}"{self._ink(colour, None)}/>')

    def sign(self, at: Point, sign: str, colour: str = "stream") -> None:
        """A small circle with +, ×, or a dot for what is only joined."""
        x, y = at
        ink = self._ink("paper", colour)
        if sign == ".":
            ink = self._ink(colour, None)
            self._parts.append(f'<circle cx="{_number(x)}" cy="{_number(y)}" r="2.6"{ink}/>')
            return
        self._parts.append(
            f'<circle cx="{_number(x)}" cy="{_number(y)}" r="8" stroke-width="1.4"{ink}/>'
        )
        strokes = {
            "+": ((-4.5, 0, 4.5, 0), (0, -4.5, 0, 4.5)),
            "×": ((-3.2, -3.2, 3.2, 3.2), (-3.2, 3.2, 3.2, -3.2)),
            "‖": ((-2, -4, -2, 4), (2, -4, 2, 4)),
        }
        for ax, ay, bx, by in strokes[sign]:
            self.line(((x + ax, y + ay), (x + bx, y + by)), colour)

    def svg(self, width: float, height: float, title: str, tip: str = "") -> str:
        """The picture as the text of a file."""
        style = ""
        if self.theme == "auto":
            rules = "".join(
                f".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}"
                for name, (_, dark) in COLOURS.items()
            )
            style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n"
        size = f"{_number(width)} {_number(height)}"
        wide, high = size.split()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
            f'viewBox="0 0 {size}" font-family="{escape(FONT)}" role="img">\n'
            f"<title>{escape(title)}</title>\n{style}"
            f'<rect width="{wide}" height="{high}"{self._ink("paper", None)}/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


def _toward(here: Point, there: Point, radius: float = 6) -> Point:
    """The point on the way from here to there where a rounded corner begins."""
    dx, dy = there[0] - here[0], there[1] - here[1]
    length = max(abs(dx) + abs(dy), 1e-6)
    share = min(radius, length / 2) / length
    return here[0] + dx * share, here[1] + dy * share
