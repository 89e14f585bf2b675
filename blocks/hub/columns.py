"""Plain text for people: columns, sizes, and names that differ in their numbers folded into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blocks.errors import printable

__all__: list[str] = []

_CELL = 400  # characters


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells under each other, two spaces apart; no line ends in a space."""
    shown = [[printable(cell, _CELL) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in shown) for at in range(len(shown[0]))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in shown)
    return "\n".join(line.rstrip() for line in lines)


def human(nbytes: float) -> str:
    """Bytes in decimal units.

    Example:
        >>> human(141_107_412_992)
        '141.1 GB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if nbytes < 1000 or unit == "TB":
            break
        nbytes /= 1000
    return f"{nbytes:,.0f} B" if unit == "B" else f"{nbytes:,.1f} {unit}"


def counted(number: float) -> str:
    """A large number with a letter for thousands, millions and so on.

    Example:
        >>> counted(859_832_320)
        '859.8 M'
    """
    for letter in ("", "k", "M", "G", "T"):
        if number < 1000 or letter == "T":
            break
        number /= 1000
    return f"{number:,.1f} {letter}" if letter else f"{number:,.0f}"


def form(name: str) -> tuple[str, tuple[int, ...]]:
    """A name with `#` for the numbers in it, and the numbers.

    Example:
        >>> form("layers.3.mlp.experts.7.up.weight")
        ('layers.#.mlp.experts.#.up.weight', (3, 7))
    """
    segments = name.split(".")
    numbers = tuple(int(part) for part in segments if part.isdecimal())
    return ".".join("#" if part.isdecimal() else part for part in segments), numbers


def folded(names: Iterable[str]) -> list[str]:
    """Names that differ only in their numbers as one.

    Example:
        >>> folded(["layers.0.w", "layers.1.w", "layers.3.w", "norm.w"])
        ['layers.{0-1,3}.w', 'norm.w']
    """
    groups: dict[str, list[tuple[int, ...]]] = {}
    for name in names:
        shape, numbers = form(name)
        groups.setdefault(shape, []).append(numbers)
    texts = []
    for shape, found in groups.items():
        first, *rest = shape.split("#")
        each = [ranges(numbers) for numbers in zip(*found, strict=True)]
        texts.append(first + "".join(text + tail for text, tail in zip(each, rest, strict=True)))
    return texts


def ranges(numbers: Iterable[int]) -> str:
    """Numbers with runs of them folded: "3", "{0-7}", "{0-1,3}"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return text if text.isdecimal() else f"{{{text}}}"
