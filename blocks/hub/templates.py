"""Templates of tensor names: what is left of a name without its numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__: list[str] = []


def expanded(theirs: str, ours: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """One line of a table for the weight and one for the bias, where `{w}` stands for both.

    Example:
        >>> expanded("wte.{w}", ["embedding.{w}"])
        [('wte.weight', ('embedding.weight',)), ('wte.bias', ('embedding.bias',))]
    """
    if "{w}" not in theirs:
        return [(theirs, tuple(ours))]
    return [
        (theirs.replace("{w}", kind), tuple(name.replace("{w}", kind) for name in ours))
        for kind in ("weight", "bias")
    ]


def pattern(name: str) -> tuple[str, tuple[str, ...]]:
    """A name with its numbers (or `{i}`) taken out, and these in order.

    Example:
        >>> pattern("layers.3.mlp.{e}.up.weight")
        ('layers.#.mlp.#.up.weight', ('3', 'e'))
    """
    segments, values = name.split("."), []
    for at, segment in enumerate(segments):
        if segment.isdecimal() or segment.startswith("{"):
            values.append(segment.strip("{}"))
            segments[at] = "#"
    return ".".join(segments), tuple(values)


def filled(template: str, value: Mapping[str, str]) -> tuple[str, set[str]]:
    """A template with numbers put in, and which of them it has a place for.

    Example:
        >>> filled("h.{i}.up.weight", {"i": "3", "e": "7"})
        ('h.3.up.weight', {'i'})
    """
    used = set()
    segments = template.split(".")
    for at, segment in enumerate(segments):
        if segment.startswith("{"):
            used.add(segment.strip("{}"))
            segments[at] = value[segment.strip("{}")]
    return ".".join(segments), used
