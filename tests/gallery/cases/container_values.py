"""Weight files that are whole and hold what no model can be made of, or that change meanwhile."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks import CheckpointError, from_pretrained, save_pretrained, verify
from tests.gallery.harness import Act, Case
from tests.gallery.sound import MODEL, SHARDS, pack, shapes, shard, tensors

UP = "model.layers.1.mlp.up_proj.weight"
BYTES = {"U8": 1, "I8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E8M0": 1, "U16": 2, "I16": 2, "C64": 8}


def held_as(dtype: str, *names: str) -> Callable[[Path], object]:
    """Tensors of the right shape in another dtype."""

    def damage(folder: Path) -> None:
        data = tensors()
        for name in names or data:
            shape, raw = data[name][1:]
            data[name] = dtype, shape, bytes(len(raw) * BYTES.get(dtype, 4) // 4)
        (folder / MODEL).write_bytes(pack(data))

    return damage


def number(value: float, at: int) -> Callable[[Path], object]:
    """One number of one tensor."""

    def damage(folder: Path) -> None:
        data = tensors()
        dtype, shape, raw = data[UP]
        new = bytearray(raw)
        struct.pack_into("<f", new, 4 * at, value)
        (folder / MODEL).write_bytes(pack(data | {UP: (dtype, shape, bytes(new))}))

    return damage


def shard_number(folder: Path) -> None:
    number(float("nan"), 3)(folder)
    (folder / "whole").write_bytes((folder / MODEL).read_bytes())
    parts = shard(folder)
    file = next(file for file, some in parts.items() if UP in some)
    data = parts[file]
    dtype, shape, raw = data[UP]
    (folder / file).write_bytes(pack(data | {UP: (dtype, shape, b"\0\0\xc0\x7f" + raw[4:])}))


def finite(folder: Path) -> Any:
    return from_pretrained(folder, check_finite=True)


def verified(folder: Path) -> Any:
    return from_pretrained(folder, verify=True)


def checked(folder: Path) -> Any:
    return verify(folder)


def meanwhile(what: Callable[[Path], object]) -> Act:
    """Loads, while somebody does something between the checks and the reading."""

    def act(folder: Path) -> Any:
        from blocks.hub import load

        real = load.match

        def late(*args: Any) -> Any:
            what(folder / MODEL)
            return real(*args)

        load.match = late  # in a process of its own
        return from_pretrained(folder, copy=True)

    return act


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4000)


def rewrite(path: Path) -> None:
    path.write_bytes(pack(tensors(seed=2)))


def swap(path: Path) -> None:
    path.with_suffix(".new").write_bytes(pack(tensors(seed=2)))
    os.replace(path.with_suffix(".new"), path)


def remove(path: Path) -> None:
    path.unlink()


def nothing(folder: Path) -> None: ...


def saved(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Saved by the library, with checksums, and changed afterwards."""

    def damage(folder: Path) -> None:
        save_pretrained(from_pretrained(folder, copy=True), folder)
        change(folder)

    return damage


def flip(folder: Path) -> None:
    data = bytearray((folder / MODEL).read_bytes())
    data[-1001] ^= 4
    (folder / MODEL).write_bytes(data)


def older(folder: Path) -> None:
    """All weights of another model of the same sizes, under the names of our own format."""
    data = (folder / MODEL).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    (folder / MODEL).write_bytes(data[:start] + bytes(len(data) - start))


def exchanged(folder: Path) -> None:
    """Two tensors of one shape change places."""
    data = (folder / MODEL).read_bytes()
    assert data.count(b"layers.0.mlp.up.") == data.count(b"layers.1.mlp.up.") == 1
    new = data.replace(b"layers.0.mlp.up.", b"layers.X.mlp.up.")
    new = new.replace(b"layers.1.mlp.up.", b"layers.0.mlp.up.")
    (folder / MODEL).write_bytes(new.replace(b"layers.X.mlp.up.", b"layers.1.mlp.up."))


def holds(dtype: str, reason: str, *names: str) -> Case:
    which = names[0] if names else "model.embed_tokens.weight"
    name = f"{dtype} in {'one tensor' if names else 'all tensors'}"
    return Case(name, held_as(dtype, *names), CheckpointError, reason, tensor=which)


def found(name: str, value: float, at: int) -> Case:
    reason = "holds NaN or infinity"
    damage = number(value, at)
    return Case(name, damage, CheckpointError, reason, file=MODEL, tensor=UP, act=finite)


def late(name: str, what: Callable[[Path], object]) -> Case:
    reason, act = "was changed while it was being read", meanwhile(what)
    return Case(name, nothing, CheckpointError, reason, file=MODEL, act=act)


def differs(name: str, change: Callable[[Path], object], act: Act) -> Case:
    reason = f"is not what was saved: {MODEL} has the checksum"
    return Case(name, saved(change), CheckpointError, reason, file=f".*{MODEL}", act=act)


NAN, LARGEST = float("nan"), 24 * 16 - 1
assert shapes()[UP] == [24, 16]

CASES = [
    *(
        holds(dtype, f"{UP} holds {dtype}, not floats", UP)
        for dtype in ("I32", "U32", "I16", "U16", "I8", "U8", "BOOL", "C64", "F8_E8M0")
    ),
    holds("F8_E4M3", f"{UP} holds F8_E4M3, not floats and has no scales beside it", UP),
    holds("I32", "holds I32, not floats"),
    holds("F8_E4M3", "holds F8_E4M3, not floats and has no scales beside it"),
    found("NaN in the middle", NAN, 17),
    found("NaN at the end", NAN, LARGEST),
    found("infinity", float("inf"), 0),
    found("minus infinity", float("-inf"), 200),
    Case(
        "NaN in a shard",
        shard_number,
        CheckpointError,
        "holds NaN or infinity",
        file=SHARDS[1],
        tensor=UP,
        act=finite,
    ),
    late("it shrinks after its check", shrink),
    late("it is rewritten after its check", rewrite),
    late("it is replaced after its check", swap),
    late("it is removed after its check", remove),
    differs("one bit differs from its checksum", flip, verified),
    differs("all numbers differ from its checksum", older, verified),
    differs("two tensors have changed places", exchanged, checked),
]
