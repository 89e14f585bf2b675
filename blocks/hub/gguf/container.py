"""GGUF files: metadata and descriptions of tensors, checked in full before a byte of data is read.

ggml-org, "GGUF", the format's description in the repository ggml-org/ggml, versions 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from blocks.errors import CheckpointError, printable
from blocks.hub.gguf.types import KINDS, Kind
from blocks.hub.headers import AGAIN, DIM, HEADER_TENSORS, NAME_LENGTH

__all__: list[str] = []

MAGIC = b"GGUF"
HEADER = 128 << 20  # bytes of metadata and descriptions: the largest vocabularies take 20 MB
_ITEMS = 4_000_000  # of all lists together
_KEYS = 4_096
_KEY = 256  # characters of a key
_AXES = 4
_ALIGNMENT = 32
_TEXT, _LIST = 8, 9
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


class Raw(NamedTuple):
    """One tensor as the file describes it, with its bytes `start` to `end` in the file."""

    kind: Kind
    shape: tuple[int, ...]
    start: int
    end: int


class Texts:
    """A list of texts, which stay bytes until they are asked for.

    Args:
        parts: the bytes of each.
    """

    def __init__(self, parts: list[bytes]):
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[str]:
        return (part.decode(errors="replace") for part in self.parts)

    def __repr__(self) -> str:
        return f"{len(self)} texts"


@dataclass(frozen=True)
class Content:
    """What a file says before its data.

    Attributes:
        metadata: by key; lists are tuples, or `Texts`.
        tensors: by name, in the order of the file.
        size: bytes of the file.
    """

    metadata: dict[str, Any]
    tensors: dict[str, Raw]
    size: int


class Short(Exception):
    """The header goes on beyond the bytes that are at hand."""


def parse(data: Any, size: int, file: str | Path) -> Content:
    """Read the header at the beginning of a file of `size` bytes.

    Args:
        data: the file's first bytes, or all of them.
        size: of the whole file.
        file: its name, for errors.

    Errors:
        CheckpointError: it is something else, cut short, or breaks the format.
        Short: more of the file's bytes are needed.
    """
    cursor = _Cursor(data, size, file)
    if bytes(cursor.take(4)) != MAGIC:
        raise CheckpointError("is no GGUF file: no magic at its beginning", file=file, hint=AGAIN)
    version = cursor.number("I")
    if version & 0xFFFF == 0:
        reason = "is a GGUF file for machines that store numbers the other way (big-endian)"
        raise CheckpointError(reason, file=file, hint="use the file for little-endian machines")
    if version not in (2, 3):
        raise CheckpointError(
            f"is a GGUF file of version {version}; 2 and 3 can be read",
            file=file,
            hint="convert the model anew" if version == 1 else None,
        )
    count, keys = cursor.number("Q"), cursor.number("Q")
    for what, number, most in (("tensors", count, HEADER_TENSORS), ("keys", keys, _KEYS)):
        if number > most:
            reason = f"claims {number} {what}, over the limit of {most}"
            raise CheckpointError(reason, file=file, hint=AGAIN)
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = cursor.name("key", _KEY)
        if key in metadata:
            raise CheckpointError("is there twice", file=file, field=key)
        metadata[key] = cursor.value(cursor.number("I"), key)
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or not 8 <= alignment <= 1 << 16 or alignment & (alignment - 1):
        raise CheckpointError(
            f"{printable(alignment)} is no power of two from 8 to 65536",
            file=file,
            field="general.alignment",
        )
    tensors: dict[str, Raw] = {}
    for _ in range(count):
        name = cursor.name("tensor", NAME_LENGTH)
        if name in tensors:
            raise CheckpointError("is there twice", file=file, tensor=name)
        tensors[name] = cursor.tensor(name, alignment)
    return Content(metadata, _placed(tensors, cursor.at, alignment, size, file), size)


def _placed(
    tensors: dict[str, Raw], end: int, alignment: int, size: int, file: str | Path
) -> dict[str, Raw]:
    """The tensors with their places in the file, which they must fill without hole or overlap."""
    base = _up(end, alignment)
    reached = base
    for name, raw in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if base + raw.start != _up(reached, alignment):
            what = "overlaps" if base + raw.start < reached else "leaves a hole after"
            raise CheckpointError(
                f"{what} the data before it, by {abs(base + raw.start - _up(reached, alignment))} "
                "bytes",
                file=file,
                tensor=name,
                hint=AGAIN,
            )
        reached = base + raw.end
    if reached > size and tensors:
        reason = f"is cut short: {reached - size} of {reached} bytes are missing"
        raise CheckpointError(reason, file=file, hint=AGAIN)
    if size > _up(reached, alignment):
        reason = f"has {size - reached} bytes after its last tensor"
        raise CheckpointError(reason, file=file, hint=AGAIN)
    return {
        n: raw._replace(start=base + raw.start, end=base + raw.end) for n, raw in tensors.items()
    }


def _up(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


class _Cursor:
    """Bytes read one after another; nothing is made whose size the file doesn't have."""

    def __init__(self, data: Any, size: int, file: str | Path):
        self.data, self.size, self.file = memoryview(data), size, file
        self.at = 0
        self.items = 0

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if end > self.size or end > HEADER:
            if end <= self.size:
                raise CheckpointError(f"its header has over {HEADER} bytes", file=self.file)
            told = "is empty" if not self.size else "is cut short in its header"
            raise CheckpointError(told, file=self.file, hint=AGAIN)
        if end > len(self.data):
            raise Short
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, code: str) -> Any:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return value

    def text(self) -> bytes:
        return bytes(self.take(self.number("Q")))

    def name(self, what: str, most: int) -> str:
        """A key or the name of a tensor."""
        length = self.number("Q")
        if not 0 < length <= most:
            reason = f"the name of a {what} has {length} characters, not 1 to {most}"
            raise CheckpointError(reason, file=self.file, hint=AGAIN)
        raw = bytes(self.take(length))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            reason = f"the name of a {what} is no text: {printable(raw, 80)}"
            raise CheckpointError(reason, file=self.file, hint=AGAIN) from None

    def value(self, code: int, key: str) -> Any:
        """A number, a text or a list of these."""
        if code == _LIST:
            return self._list(key)
        if code == _TEXT:
            return self.text().decode(errors="replace")
        if code == 7:
            return self._flag(self.number("B"), key)
        return self.number(self._code(code, key))

    def _code(self, code: int, key: str) -> str:
        if code not in _NUMBERS:
            reason = f"has a value of the unknown type {code}"
            raise CheckpointError(reason, file=self.file, field=key, hint=AGAIN)
        return _NUMBERS[code]

    def _flag(self, byte: int, key: str) -> bool:
        if byte > 1:
            reason = f"is {byte}, neither true nor false"
            raise CheckpointError(reason, file=self.file, field=key, hint=AGAIN)
        return byte == 1

    def _list(self, key: str) -> Any:
        code, count = self.number("I"), self.number("Q")
        if code == _LIST:
            raise CheckpointError("is a list of lists", file=self.file, field=key)
        self.items += count
        if self.items > _ITEMS:
            reason = f"claims {count} values; all lists may have {_ITEMS} together"
            raise CheckpointError(reason, file=self.file, field=key, hint=AGAIN)
        if code == _TEXT:
            return Texts(self._texts(count))
        letter = self._code(code, key)
        part = self.take(count * struct.calcsize("<" + letter))
        if letter == "?":
            return tuple(self._flag(byte, key) for byte in part)
        return struct.unpack(f"<{count}{letter}", part)

    def _texts(self, count: int) -> list[bytes]:
        """Many short texts: a vocabulary has a hundred thousand."""
        if 8 * count > self.size - self.at:
            raise CheckpointError("is cut short in its header", file=self.file, hint=AGAIN)
        length, data, at, held = struct.Struct("<Q").unpack_from, self.data, self.at, len(self.data)
        found = []
        for _ in range(count):
            start = at + 8
            at = start + length(data, at)[0] if start <= held else held + 1
            if at > held:
                self.take(at - self.at)  # says what is wrong
            found.append(bytes(data[start:at]))
        self.take(at - self.at)
        return found

    def tensor(self, name: str, alignment: int) -> Raw:
        """The description of a tensor; its place is counted from where the data begin."""

        def wrong(reason: str) -> CheckpointError:
            return CheckpointError(reason, file=self.file, tensor=name, hint=AGAIN)

        axes = self.number("I")
        if not 0 < axes <= _AXES:
            raise wrong(f"has {axes} axes, not 1 to {_AXES}")
        sizes = struct.unpack(f"<{axes}Q", self.take(8 * axes))
        code, start = self.number("I"), self.number("Q")
        shape = tuple(reversed(sizes))  # the file counts from the fastest axis
        if not all(0 < size < DIM for size in shape):
            raise wrong(f"its shape {list(shape)} must be whole numbers from 1 to 2**48 - 1")
        if code not in KINDS:
            raise wrong(f"is of the type {code}, which can't be read")
        kind = KINDS[code]
        if shape[-1] % kind.values:
            raise wrong(
                f"rows of {shape[-1]} are no whole blocks of {kind.name}, {kind.values} each"
            )
        if start % alignment:
            raise wrong(f"begins at {start}, which is no multiple of {alignment}")
        nbytes = prod(shape) // kind.values * kind.nbytes
        if start + nbytes > self.size:
            raise wrong(f"ends at {start + nbytes} of {self.size} bytes: the file is cut short")
        return Raw(kind, shape, start, start + nbytes)
