"""GGUF files byte by byte, sound ones and such as say what isn't so."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

U8, I32, U32, F32, BOOL, TEXT, LIST, U64 = 0, 5, 4, 6, 7, 8, 9, 10
_PACKED = {U8: "<B", I32: "<i", U32: "<I", F32: "<f", BOOL: "<B", U64: "<Q"}


def text(value: str | bytes, length: int | None = None) -> bytes:
    """A text, with another length before it if that is given."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def value(kind: int, given: Any) -> bytes:
    """A value with its type before it; of a list, the entries' type and the entries."""
    if kind == LIST:
        inner, parts = given
        body = b"".join(_bare(inner, part) for part in parts)
        return struct.pack("<IIQ", LIST, inner, len(parts)) + body
    return struct.pack("<I", kind) + _bare(kind, given)


def _bare(kind: int, given: Any) -> bytes:
    return text(given) if kind == TEXT else struct.pack(_PACKED[kind], given)


def key(name: str, kind: int, given: Any) -> bytes:
    return text(name) + value(kind, given)


def tensor(name: str, sizes: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    """The description of a tensor, its sizes from the fastest on."""
    shape = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def file(
    keys: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    """A file; `counts` are those of tensors and keys that it claims."""
    claimed = counts or (len(tensors), len(keys))
    head = b"GGUF" + struct.pack("<IQQ", version, *claimed) + b"".join([*keys, *tensors])
    return head + bytes(-len(head) % alignment) + data if data else head


SMALL = (
    key("general.architecture", TEXT, "qwen2"),
    key("general.name", TEXT, "small"),
    key("tokenizer.ggml.tokens", LIST, (TEXT, ["a", "b"])),
    key("tokenizer.ggml.scores", LIST, (F32, [0.5, 1.0])),
)
TWO = (tensor("a", [4, 2]), tensor("b", [32], 2, 32))
SOUND = file(SMALL, TWO, bytes(32 + 18))
