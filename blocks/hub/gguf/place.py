"""A model in GGUF files as a place that config, weights and tokenizer are read from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from blocks.errors import CheckpointError, ConfigError, HubError, printable
from blocks.hub.checkpoint import STEMS, Checkpoint, Peek
from blocks.hub.config import Config
from blocks.hub.foreign import Pool
from blocks.hub.gguf.container import HEADER, Content, Short, parse
from blocks.hub.gguf.facts import Facts, facts_of
from blocks.hub.gguf.translate import Piece, dialect_of, pieces_of
from blocks.hub.gguf.vocabulary import tokenizer_files
from blocks.hub.headers import Header
from blocks.hub.source import Source

if TYPE_CHECKING:
    import torch

__all__: list[str] = []

SUFFIX = ".gguf"
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_POOLS: dict[int, Pool | None] = {0: None, 1: "mean", 2: "first", 3: "last"}
_FIRST = 1 << 20  # bytes of a remote file asked for at once; doubled until the header is there
_MOST_PARTS = 1_000


@dataclass
class Gguf(Source):
    """One model in a GGUF file, or in the parts of one.

    Attributes:
        inner: the folder or repository.
        names: the files, the one with the metadata first.
    """

    inner: Source
    names: tuple[str, ...]

    @property
    def foreign(self) -> Gguf:
        return self

    def find(self, filename: str, *, assume_absent: bool = False) -> Path | None:
        """The file itself; what lies beside it belongs to something else."""
        found = filename in self.names
        return self.inner.find(filename, assume_absent=assume_absent) if found else None

    def has(self, filename: str) -> bool:
        return filename in self.names and self.inner.has(filename)

    def files(self) -> list[str] | None:
        return list(self.names)

    def header(self, filename: str, expected: int | None = None) -> Header | None:
        del filename, expected  # none of its files has a header of safetensors
        return None

    def part(self, filename: str, start: int, end: int) -> tuple[bytes, int] | None:
        return self.inner.part(filename, start, end)

    def safe_revisions(self) -> list[str]:
        return []

    def path(self, name: str) -> Path:
        """One of its files, fetched if need be."""
        path = self.inner.find(name)
        if path is None:
            reason = "is missing" if name == self.names[0] else f"is missing beside {self.names[0]}"
            raise HubError(reason, file=f"{self.inner.name}/{name}")
        return path

    @cached_property
    def contents(self) -> dict[str, Content]:
        """What each file says before its data, by name."""
        found = {name: self._content(name) for name in self.names}
        told = found[self.names[0]].metadata.get("split.count", 1)
        if told != len(self.names):
            reason = f"is one of {printable(told)} parts, its name says {len(self.names)}"
            raise CheckpointError(reason, file=self.names[0], field="split.count")
        return found

    def _content(self, name: str) -> Content:
        label = f"{self.inner.name}/{name}" if self.commit else self.path(name)
        length = _FIRST
        while length <= 8 * HEADER:
            got = self.inner.part(name, 0, length)
            if got is None:
                raise CheckpointError("its header can't be had offline", file=label)
            try:
                return parse(got[0], got[1], label)
            except Short:
                length *= 8
        raise CheckpointError("was cut short while it was being read", file=label)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """All keys of the first file."""
        return self.contents[self.names[0]].metadata

    @property
    def label(self) -> str | Path:
        """What errors name."""
        return self.name if self.commit else self.path(self.names[0])

    @cached_property
    def facts(self) -> Facts:
        """What a dialect asks of the file."""
        tensors = {}
        for content in self.contents.values():
            for tensor, raw in content.tensors.items():
                if tensor in tensors:
                    raise CheckpointError("is in two parts", file=self.label, tensor=tensor)
                tensors[tensor] = raw
        return facts_of(self.metadata, tensors, self._bytes_of, self.label)

    def _home(self, tensor: str) -> str:
        return next(name for name, content in self.contents.items() if tensor in content.tensors)

    def _bytes_of(self, tensor: str) -> bytes:
        raw = self.facts.tensors[tensor]
        got = self.inner.part(self._home(tensor), raw.start, raw.end)
        if got is None or len(got[0]) < raw.end - raw.start:
            raise CheckpointError("can't be had offline", file=self.label, tensor=tensor)
        return got[0]

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json as the family's own files would have it."""
        dialect = dialect_of(self.facts.architecture, self.label)
        return dialect.read(self.facts)

    def reader(self) -> Config:
        """The reader of that config."""
        return Config(self.config, self.label)

    def pool(self) -> Pool | None:
        key = f"{self.facts.architecture}.pooling_type"
        kind = self.metadata.get(key, 0)
        if kind not in _POOLS:
            reason = f"{printable(kind)} is no way of making one vector of a text that can be read"
            raise ConfigError(reason, file=self.label, field=key)
        return _POOLS[kind]

    def generation(self) -> dict[str, Any]:
        """generation_config.json likewise."""
        found = {}
        for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
            value = self.metadata.get(f"tokenizer.ggml.{key}_token_id")
            if value is not None:
                found[f"{name}_token_id"] = value
        turn = self.metadata.get("tokenizer.ggml.eot_token_id")
        ends = [end for end in (found.get("eos_token_id"), turn) if end is not None]
        return found | ({"eos_token_id": list(dict.fromkeys(ends))} if ends else {})

    def tokenizer(self) -> dict[str, bytes]:
        return tokenizer_files(self.metadata, self.label)

    def _pieces(self, here: bool) -> dict[str, Piece]:
        dialect = dialect_of(self.facts.architecture, self.label)
        homes = {
            tensor: self.path(name) if here else None
            for name, content in self.contents.items()
            for tensor in content.tensors
        }
        return pieces_of(dialect, self.facts, self.config, homes)

    def checkpoint(self) -> Checkpoint:
        """All tensors by the family's names, with their files at hand."""
        pieces = self._pieces(here=True)
        headers = {
            self.path(name): Header({}, {}, content.size, None)
            for name, content in self.contents.items()
        }
        entries = {name: piece.entry for name, piece in pieces.items()}
        return GgufCheckpoint(entries, headers, None, (), pieces)

    def peek(self) -> Peek:
        """The same without fetching a file."""
        entries = {name: piece.entry for name, piece in self._pieces(here=False).items()}
        return Peek(dict(entries), self.names, None)


@dataclass(frozen=True)
class GgufCheckpoint(Checkpoint):
    """The tensors of GGUF files by the family's names, decoded when they are asked for."""

    decodes: ClassVar[bool] = True

    pieces: Mapping[str, Piece] = field(default_factory=dict)

    def opened(self, file: Path, dtype: torch.dtype | None = None) -> Any:
        from blocks.hub.gguf.reading import Opened  # torch is not needed before

        return Opened(self.pieces, dtype)


def chosen(source: Source) -> Source:
    """The GGUF file of a place that has no weights but that; else the place itself.

    Errors:
        CheckpointError: there are several, and nothing says which.
    """
    if isinstance(source, Gguf):
        return source
    tails = (".safetensors", ".safetensors.index.json")
    if any(source.has(stem + tail) for stem in STEMS for tail in tails):
        return source
    names = [name for name in source.files() or () if name.endswith(SUFFIX)]
    firsts = [name for name in names if not (part := _PART.fullmatch(name)) or part[2] == "00001"]
    if not firsts:
        return source
    if len(firsts) > 1:
        shown = ", ".join(printable(name, 80) for name in firsts[:40])
        more = f" and {len(firsts) - 40} more" if len(firsts) > 40 else ""
        example = f"{source.name.partition('@')[0]}/{firsts[0]}"
        raise CheckpointError(
            f"holds {len(firsts)} GGUF files: {shown}{more}",
            file=source.name,
            hint=f"name the one that is meant: {printable(example)}",
        )
    return gguf(source, firsts[0])


def gguf(source: Source, filename: str) -> Gguf:
    """The model in a GGUF file of a place, which may be the first of several parts.

    Errors:
        ConfigError: it is a part, and not the first.
    """
    names = (filename,)
    if part := _PART.fullmatch(filename):
        stem, number, count = part[1], int(part[2]), int(part[3])
        if number != 1 or not 0 < count <= _MOST_PARTS:
            first = f"{stem}-00001-of-{part[3]}.gguf"
            raise ConfigError(
                f"is part {number} of {count}", file=filename, hint=f"give the first, {first}"
            )
        names = tuple(f"{stem}-{n + 1:05}-of-{part[3]}.gguf" for n in range(count))
    folder = None if source.folder is None else source.folder / filename
    name = f"{source.name}/{filename}"
    return Gguf(name, source.commit, folder, source, names, seen=source.seen)
