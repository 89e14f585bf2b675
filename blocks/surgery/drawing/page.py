"""The page of a model: its picture, and its tree to open and close. One file, nothing from afar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from blocks.surgery.drawing.canvas import COLOURS, FONT, Theme
from blocks.surgery.tree.parts import Part

__all__: list[str] = []

Cells = Callable[[Part], Sequence[str]]

_RULES = """
.blocks{font:13px/1.5 FONT;color:INK;background:PAPER;padding:8px}
.blocks svg{max-width:100%;height:auto;display:block;margin:0 auto 24px}
.blocks .tree{overflow-x:auto}
.blocks .row{display:grid;grid-template-columns:17rem 9.5rem 7.5rem 11rem 6.5rem 8.5rem auto;
gap:0 1rem;padding:2px 6px;white-space:nowrap;font-variant-numeric:tabular-nums}
.blocks .row>:nth-child(n+2):nth-child(-n+6){text-align:right}
.blocks .row>:nth-child(n+2):nth-child(-n+6),.blocks .shape{color:MUTED}
.blocks .head{font-weight:600}
.blocks summary{cursor:pointer;list-style:none}
.blocks summary::-webkit-details-marker{display:none}
.blocks summary .row>:first-child::before{content:"▸";display:inline-block;width:16px;color:MUTED}
.blocks details[open]>summary .row>:first-child::before{content:"▾"}
.blocks summary:hover,.blocks .leaf:hover{background:FRAME}
.blocks .leaf .row>:first-child::before{content:"";display:inline-block;width:16px}
"""
_HEAD = ("part", "parameters", "bytes", "state/token", "FLOPs", "read", "block")


def fragment(svg: str, root: Part, cells: Cells, theme: Theme = "auto") -> str:
    """The picture and the tree, as a notebook shows them.

    Args:
        svg: the picture.
        root: the whole model.
        cells: of a Part, what its line says: name, shape, parameters and so on.
        theme: as of `draw`.
    """
    tree = _row(_HEAD, 0, kind=" head") + _details(root, cells, 0)
    style = f"<style>{_style(theme)}</style>"
    return f'<div class="blocks">{style}\n{svg}<div class="tree">{tree}</div></div>'


def page(title: str, svg: str, root: Part, cells: Cells, theme: Theme = "auto") -> str:
    """A whole file; the arguments are those of `fragment`, and its heading."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title></head>\n'
        f'<body style="margin:0">{fragment(svg, root, cells, theme)}</body></html>\n'
    )


def _style(theme: Theme) -> str:
    if theme != "auto":
        return _coloured(int(theme == "dark"))
    light, dark = (_coloured(at) for at in (0, 1))
    changed = [line for line in dark.splitlines() if line not in light.splitlines()]
    return f"{light}@media (prefers-color-scheme:dark){{{''.join(changed)}}}"


def _coloured(at: int) -> str:
    rules = _RULES.strip().replace("FONT", FONT)
    for name in ("ink", "paper", "muted", "frame"):
        rules = rules.replace(name.upper(), COLOURS[name][at])
    return rules + "\n"


def _row(cells: Sequence[str], level: int, shape: str = "", kind: str = "") -> str:
    first, *others = (f"<span>{escape(cell)}</span>" for cell in cells)
    if level:
        first = first.replace("<span>", f'<span style="padding-left:{16 * level}px">', 1)
    said = f'<span class="shape"> {escape(shape)}</span>' if shape else ""
    last = others.pop().replace("</span>", f"{said}</span>")
    return f'<div class="row{kind}">{first}{"".join(others)}{last}</div>'


def _details(part: Part, cells: Cells, level: int) -> str:
    name, shape, *numbers = cells(part)
    row = _row([name, *numbers], level, shape)
    if not part.parts:
        return f'<div class="leaf">{row}</div>\n'
    inside = "".join(_details(inner, cells, level + 1) for inner in part.parts)
    opened = "" if level else " open"
    return f"<details{opened}><summary>{row}</summary>{inside}</details>\n"
