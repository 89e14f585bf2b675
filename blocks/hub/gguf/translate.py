"""A GGUF file as a family's own files: config.json, and its tensors by their names there."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from blocks.errors import CheckpointError, ConfigError, nearest, printable
from blocks.hub.gguf.container import Raw
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import KEPT, Line, Undo
from blocks.hub.headers import Entry
from blocks.hub.templates import expanded, filled, pattern

__all__: list[str] = []

_HOME = "blocks.hub.gguf.dialects"
_EXPERTS = 4_096  # of a layer


class Held(NamedTuple):
    """A tensor of the file, or one expert's part of it."""

    file: Path | None
    raw: Raw


class Piece(NamedTuple):
    """A tensor of the family, and what it is made of."""

    held: tuple[Held, ...]
    undo: Undo

    @property
    def entry(self) -> Entry:
        """As headers describe it: of several parts, the place of the first."""
        first = self.held[0]
        shape = self.undo.shape([held.raw.shape for held in self.held])
        start, kind = first.raw.start, first.raw.kind.name
        size = sum(held.raw.end - held.raw.start for held in self.held)
        return Entry(kind, shape, start, start + size, first.file)


def dialect_of(architecture: str, file: str | Path) -> Dialect:
    """The dialect of an architecture, found by its name.

    Errors:
        ConfigError: none is known.
    """
    name = architecture.replace("-", "_")
    if name not in (known := architectures()):
        near = nearest(name, known)
        raise ConfigError(
            f"the architecture {printable(architecture)!r} can't be read from GGUF",
            file=file,
            field="general.architecture",
            hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
        )
    return importlib.import_module(f"{_HOME}.{name}").DIALECT


def architectures() -> list[str]:
    """Every architecture that is read, by the names of files."""
    home = importlib.util.find_spec(_HOME)
    assert home is not None and home.submodule_search_locations
    folder = Path(next(iter(home.submodule_search_locations)))
    return sorted(path.stem for path in folder.glob("[a-z]*.py"))


def pieces_of(
    dialect: Dialect, facts: Facts, fields: Mapping[str, Any], files: Mapping[str, Path | None]
) -> dict[str, Piece]:
    """The family's tensors by name. What the dialect has no line for keeps the name it has.

    Args:
        dialect: of the file's architecture.
        facts: the file.
        fields: those of config.json.
        files: where each tensor is.
    """
    table: dict[str, list[Line]] = {}
    for line in dialect.lines(facts, fields):
        for theirs, held in expanded(line.theirs, line.held):
            table.setdefault(pattern(held[0])[0], []).append(Line(held, theirs, line.undo))
    others = {pattern(name)[0] for lines in table.values() for one in lines for name in one.held}
    ignored = {pattern(name)[0] for name in dialect.ignore}
    found: dict[str, Piece] = {}
    for name, raw in facts.tensors.items():
        form, numbers = pattern(name)
        lines = table.get(form, ())
        for line in lines:
            value = dict(zip(pattern(line.held[0])[1], numbers, strict=True))
            names = [filled(one, value)[0] for one in line.held]
            lost = next((one for one in names if one not in facts.tensors), None)
            if lost is not None:
                raise CheckpointError(f"is missing, beside {name}", file=facts.file, tensor=lost)
            held = [Held(files[one], facts.tensors[one]) for one in names]
            for theirs, parts in _each(line, value, held, facts):
                if theirs in found:
                    raise CheckpointError(
                        f"is {theirs}, which is there already", file=facts.file, tensor=name
                    )
                found[theirs] = Piece(parts, line.undo)
        if not lines and form not in others | ignored:
            found[name] = Piece((Held(files[name], raw),), KEPT)
    return found


def _each(
    line: Line, value: dict[str, str], held: list[Held], facts: Facts
) -> list[tuple[str, tuple[Held, ...]]]:
    """A tensor of the family, or those of all experts."""
    if "{e}" not in line.theirs or "e" in value:
        return [(filled(line.theirs, value)[0], tuple(held))]
    counts = {one.raw.shape[0] for one in held}
    if len(counts) > 1 or len(held[0].raw.shape) < 2 or max(counts) > _EXPERTS:
        shapes = ", ".join(str(list(one.raw.shape)) for one in held)
        reason = f"must be a matrix for each of at most {_EXPERTS} experts, not {shapes}"
        raise CheckpointError(reason, file=facts.file, tensor=filled(line.held[0], value)[0])
    return [
        (filled(line.theirs, value | {"e": str(e)})[0], tuple(_part(one, e) for one in held))
        for e in range(counts.pop())
    ]


def _part(held: Held, index: int) -> Held:
    raw = held.raw
    size = (raw.end - raw.start) // raw.shape[0]
    start = raw.start + index * size
    return Held(held.file, Raw(raw.kind, raw.shape[1:], start, start + size))
