"""draw: the picture of an architecture."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from blocks.errors import BlocksError, SpecError
from blocks.surgery.drawing.canvas import Theme
from blocks.surgery.explaining import Explanation, explain

__all__ = ["draw"]


def draw(
    x: Any,
    file: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    theme: Theme = "auto",
) -> str:
    """Draws an architecture from its Spec, as a figure of a paper or a slide.

    Tokens enter at the foot. The residual stream is the thick line; what branches off it is added
    to it again. Equal layers are drawn once, and layers of several kinds are listed in their order
    with a drawing of each kind. No weights are needed. Without a Spec, as of a block alone, its
    parts are drawn as boxes in boxes.

    Args:
        x: what `explain` takes, or what it gave.
        file: where to write it: `.svg`, or `.html` for a page with the picture and the tree of
            blocks, which opens and closes. The file needs no other one.
        title: the heading; by default where the model came from.
        theme: `light` or `dark`; `auto` follows the screen of whoever looks at it.

    Returns:
        The text of the SVG.

    Errors:
        SpecError: a file of another kind, or another theme; and those of `explain`.
        BlocksError: a file that can't be written.

    Example:
        >>> from blocks import CausalLM, Chain, GatedMLP, GQAttention, Residual, RMSNorm, Spec, draw
        >>> layer = Spec(Chain, steps={
        ...     "attention": Spec(Residual, inner=Spec(GQAttention, heads=4), norm_in=RMSNorm),
        ...     "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=32), norm_in=RMSNorm),
        ... })
        >>> svg = draw(Spec(CausalLM, vocab=100, dim=16, layers=(layer,) * 2, norm=RMSNorm))
        >>> svg.startswith("<svg"), "GQAttention" in svg, "× 2" in svg
        (True, True, True)
    """
    if theme not in ("auto", "light", "dark"):
        raise SpecError(f"must be auto, light or dark, not {theme!r}", field="theme")
    if title is not None and not isinstance(title, str):
        raise SpecError(f"is a text, not {title!r}", field="title")
    if file is not None and not isinstance(file, str | os.PathLike):
        raise SpecError(f"is a path, not {file!r}", field="file")
    if file is not None and Path(file).suffix not in (".svg", ".html"):
        raise SpecError(f"{file} is neither .svg nor .html", field="file")
    found = x if isinstance(x, Explanation) else explain(x)
    if title is not None:
        found = dataclasses.replace(found, title=title)
    svg = found.to_svg(theme)
    if file is not None:
        text = svg if Path(file).suffix == ".svg" else found.to_html(theme)
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise BlocksError(f"can't be written: {error.strerror}", file=str(file)) from None
    return svg
