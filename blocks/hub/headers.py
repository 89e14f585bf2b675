"""Headers of safetensors files: read, and checked in full before a byte of data is."""

from __future__ import annotations

import gc
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from blocks.errors import CheckpointError, printable

HEADER_BYTES = 32 << 20
HEADER_TENSORS = 200_000
NAME_LENGTH = 512  # characters, of a tensor as of a file
VALUES = 12  # of JSON for one tensor: three fields, a shape, two offsets and their brackets
RANK = 8
DIM = 1 << 48

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip

AGAIN = "download the file again"
LOOKALIKES = (
    (b"PK\x03\x04", "a zip archive, most likely a PyTorch pickle; pickles are never opened"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a git-lfs pointer and not the file: run `git lfs pull`"),
    (b"{", "a JSON file"),
)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe, device or folder is an error, and never blocks."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise CheckpointError(f"can't be opened: {error.strerror}", file=path) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CheckpointError("is not a regular file", file=path)
    return os.fdopen(handle, "rb")


def read_part(path: Path, start: int, end: int) -> tuple[bytes, int]:
    """Bytes of a regular file, fewer if it ends before, and its size."""
    with open_regular(path) as file:
        file.seek(start)
        return file.read(end - start), os.fstat(file.fileno()).st_size


def strict_json(raw: bytes, file: str | Path, most: int) -> Any:
    """Parse UTF-8 JSON without duplicate keys, NaN or Infinity; else a CheckpointError.

    More than `most` values are refused unparsed: a value takes two bytes here and 60 in memory.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > most:
        raise CheckpointError(f"holds over {most} values, far more than it needs", file=file)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise CheckpointError(f'has the key "{printable(twice)}" twice', file=file)
        return table

    def finite(text: str) -> float:
        raise CheckpointError(f"has the number {text}, which is not JSON", file=file)

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=finite)
    except CheckpointError:
        raise
    except RecursionError as error:
        raise CheckpointError("is nested too deeply to be read as JSON", file=file) from error
    except ValueError as error:
        raise CheckpointError(
            f"is not valid JSON: {printable(error)}", file=file, hint="download it again"
        ) from error


class Entry(NamedTuple):
    """Where a tensor lies. `start` and `end` are absolute byte offsets in `file`.

    `dtype` is as the file writes it ("BF16"). `start` need not be a multiple of the item size.
    `file` is None only for a header that was read from the Hub without its file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    file: Path | None

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return self.end - self.start


@dataclass(frozen=True)
class Header:
    """One file's header. `stamp` (size, mtime_ns, inode) tells whether it has changed since."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    size: int
    stamp: tuple[int, int, int] | None


def read_header(path: str | Path) -> Header:
    """Read a safetensors header and check all of it; no tensor data is read.

    Args:
        path: a regular file.

    Errors:
        CheckpointError: the file is something else, cut short, or its header breaks the format.

    Example:
        >>> import pathlib, tempfile
        >>> text = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> _ = path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
        >>> read_header(path).entries["w"].shape
        (2,)
    """
    path = Path(path)
    with open_regular(path) as file:
        info = os.fstat(file.fileno())
        head = file.read(512)
        length = header_length(head, info.st_size, path)
        head += file.read(max(0, 8 + length - len(head)))
    stamp = (info.st_size, info.st_mtime_ns, info.st_ino)
    return parse_header(head[8 : 8 + length], info.st_size, path, stamp)


def header_length(head: bytes, size: int, file: str | Path) -> int:
    """The length of the JSON header, from a file's first bytes (9 or more) and its size."""
    if size < 8:
        told = f"has only {size} bytes" if size else "is empty"
        raise CheckpointError(f"{told}: no safetensors file", file=file, hint=AGAIN)
    length = int.from_bytes(head[:8], "little")
    if (length > HEADER_BYTES or head[8:9] != b"{") and (kind := _lookalike(head)):
        raise CheckpointError(f"is no safetensors file but {kind}", file=file)
    if not length or (size > 8 and head[8:9] != b"{"):
        raise CheckpointError(
            "is no safetensors file: no header at its beginning", file=file, hint=AGAIN
        )
    if length > HEADER_BYTES:
        raise CheckpointError(
            f"its header has {length} bytes, over the limit of {HEADER_BYTES}", file=file
        )
    if size < 8 + length:
        raise CheckpointError(
            f"is cut short in its header: {8 + length - size} bytes and all data are missing",
            file=file,
            hint=AGAIN,
        )
    return length


def _lookalike(head: bytes) -> str | None:
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, such as a login or error page saved under its name"
    if head[:1] == b"\x80" and 2 <= head[1] <= 5:
        return "a Python pickle; pickles are never opened because they can run any code"
    return next((kind for magic, kind in LOOKALIKES if head.startswith(magic)), None)


def parse_header(
    raw: bytes, size: int, file: str | Path, stamp: tuple[int, int, int] | None = None
) -> Header:
    """Check the JSON header `raw` of a file of `size` bytes: see `read_header`.

    `file` names it in errors; if it is a Path, the entries carry it.
    """
    with _collector_paused():
        table = strict_json(raw, file, VALUES * HEADER_TENSORS)
        if not isinstance(table, dict):
            raise CheckpointError("its header must be a JSON object", file=file)
        metadata = table.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(
            type(text) is str for text in metadata.values()
        ):
            raise CheckpointError("must map strings to strings", file=file, field="__metadata__")
        if len(table) > HEADER_TENSORS:
            raise CheckpointError(
                f"has {len(table)} tensors, over the limit of {HEADER_TENSORS}", file=file
            )
        base = 8 + len(raw)
        home = file if isinstance(file, Path) else None
        entries: dict[str, Entry] = {}
        for name in list(table):
            given = table.pop(name)  # takes more room than what is made of it
            if reason := _fault(name, given):
                raise CheckpointError(reason, file=file, tensor=name, hint=AGAIN)
            start, end = given["data_offsets"]
            entries[name] = Entry(
                given["dtype"], tuple(given["shape"]), base + start, base + end, home
            )
        _check_cover(entries, base, size, file)
        return Header(entries, metadata, size, stamp)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # 100,000 tensors make half a million objects without a cycle; looking for one triples the time.
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _fault(name: str, given: Any) -> str | None:
    """What is wrong with one tensor's description by itself."""
    if len(name) > NAME_LENGTH:
        return f"its name has over {NAME_LENGTH} characters"
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        return "its name is not valid Unicode"
    if type(given) is not dict or given.keys() != {"dtype", "shape", "data_offsets"}:
        return "must have exactly dtype, shape and data_offsets"
    dtype, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if type(dtype) is not str or dtype not in DTYPE_BITS:
        return f"has the unknown dtype {printable(dtype, 40)}"
    if type(shape) is not list or len(shape) > RANK:
        return f"its shape must be a list of at most {RANK} sizes, not {printable(shape, 80)}"
    for size in shape:
        if type(size) is not int or not 0 <= size < DIM:
            return f"its shape {printable(shape, 80)} must be whole numbers from 0 to 2**48 - 1"
    if type(offsets) is not list or len(offsets) != 2 or {type(at) for at in offsets} != {int}:
        return f"its data_offsets must be two whole numbers, not {printable(offsets, 80)}"
    start, end = offsets
    if not 0 <= start <= end:
        return f"its data_offsets {printable(offsets, 80)} are negative or out of order"
    bits = prod(shape) * DTYPE_BITS[dtype]
    if bits % 8:
        return f"shape {printable(shape, 80)} of {dtype} ends within a byte"
    if bits != (end - start) * 8:
        return (
            f"shape {printable(shape, 80)} of {dtype} needs {bits // 8} bytes, "
            f"its data_offsets give {printable(end - start, 40)}"
        )
    return None


def _check_cover(entries: dict[str, Entry], base: int, size: int, file: str | Path) -> None:
    """The tensors must fill the file from the header to its end: no hole, overlap or rest."""
    reached = base
    for start, end, name in sorted(
        (entry.start, entry.end, name) for name, entry in entries.items()
    ):
        if start != reached:
            what = "overlaps" if start < reached else "leaves a hole after"
            raise CheckpointError(
                f"{what} the data before it, by {abs(start - reached)} bytes",
                file=file,
                tensor=name,
                hint=AGAIN,
            )
        reached = end
    if reached > size:
        raise CheckpointError(
            f"is cut short: {reached - size} of {reached} bytes are missing", file=file, hint=AGAIN
        )
    if reached < size:
        raise CheckpointError(
            f"has {size - reached} bytes after its last tensor", file=file, hint=AGAIN
        )
