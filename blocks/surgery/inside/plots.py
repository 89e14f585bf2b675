"""What pictures share: matplotlib where it is there, and files that are the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from torch import Tensor

from blocks.errors import BlocksError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__: list[str] = []

File = str | PathLike[str]


def drawn(width: float, height: float) -> Figure:
    """An empty figure, in inches; it belongs to no window.

    Errors:
        BlocksError: there is no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = 'pip install "blocks[plot]"'
        raise BlocksError("pictures need matplotlib", field="plot", hint=hint) from error
    return Figure(figsize=(width, height), layout="constrained")


def saved(figure: Figure, file: File | None) -> Figure:
    """The figure, and its file by its ending; the same picture gives the same bytes."""
    if file is not None:
        from matplotlib import rc_context

        same: Any = {"svg.hashsalt": "blocks", "svg.fonttype": "none"}
        dated = str(file).endswith((".svg", ".pdf"))
        try:
            with rc_context(same):
                figure.savefig(file, metadata={"Date": None} if dated else None)
        except OSError as error:
            reason = f"can't be written: {error.strerror or error}"
            raise BlocksError(reason, file=str(file), hint="check the path") from None
        except (TypeError, ValueError) as error:  # no path, or no ending of a picture
            hint = "name a picture by its ending: .svg, .png, .pdf"
            raise BlocksError(f"can't be drawn: {error}", field="file", hint=hint) from None
    return figure


def words(tokens: Any, tokenizer: Any) -> list[str]:
    """Tokens [T] as people read them: numbers without a tokenizer, and of what has no text."""
    ids: list[int] = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
    if tokenizer is None:
        return [str(one) for one in ids]
    return [shown(tokenizer.decode([one])) or f"[{one}]" for one in ids]


def shown(word: str) -> str:
    """A token's text with its blanks and control characters visible."""
    return "".join(
        {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(c, c if c.isprintable() else "�") for c in word
    )


def check_row(row: int, rows: int) -> None:
    if not 0 <= row < rows:
        raise BlocksError(f"there are rows 0 … {rows - 1}, not {row}", field="row")


def label(axis: Any, texts: Sequence[str], side: str, most: int = 40, flat: int = 2) -> None:
    """Tokens along an axis, or every so many of them; upright where one is longer than `flat`."""
    every = -(-len(texts) // most)
    places = range(0, len(texts), every)
    put = axis.set_xticks if side == "x" else axis.set_yticks
    turned = {"rotation": 90} if side == "x" and max(map(len, texts), default=0) > flat else {}
    # A dollar would begin a formula.
    put(places, [texts[at].replace("$", r"\$") for at in places], **turned)
