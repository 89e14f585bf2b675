"""Headers of safetensors files: odd ones that are sound, and the limits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from blocks.errors import CheckpointError, HubError
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.headers import HEADER_BYTES, read_header
from blocks.hub.source import resolve
from tests.clock import within
from tests.hub.craft import entry, file, many

GOOD = entry("F32", [2])

SOUND: dict[str, tuple[bytes, dict[str, tuple[int, ...]]]] = {
    "plain": (file({"w": GOOD}, bytes(8)), {"w": (2,)}),
    "no tensors": (file({}), {}),
    "only metadata": (file({"__metadata__": {"format": "tf"}}), {}),
    "scalar": (file({"w": entry("F32", [])}, bytes(4)), {"w": ()}),
    "no elements": (
        file({"e": entry("F32", [0, 7], 8), "w": GOOD}, bytes(8)),
        {"e": (0, 7), "w": (2,)},
    ),
    "padded": (file({"w": GOOD}, bytes(8), pad=13), {"w": (2,)}),
    "out of order": (
        file({"b": entry("BF16", [1], 8), "a": GOOD}, bytes(10)),
        {"b": (1,), "a": (2,)},
    ),
    "packed": (file({"w": entry("F4", [2, 4])}, bytes(4)), {"w": (2, 4)}),
    "rank eight": (file({"w": entry("I8", [1] * 8)}, b"\0"), {"w": (1,) * 8}),
    "unicode": (
        file({"层.重み": GOOD, "e\u0301": entry("I8", [1], 8)}, bytes(9)),
        {"层.重み": (2,), "e\u0301": (1,)},
    ),
    "longest name": (file({"w" * 512: GOOD}, bytes(8)), {"w" * 512: (2,)}),
    "no name": (file({"": GOOD}, bytes(8)), {"": (2,)}),
}


@pytest.mark.parametrize("case", SOUND)
def test_odd_but_sound_file_is_read(case: str, tmp_path: Path) -> None:
    content, shapes = SOUND[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    header = read_header(path)
    assert {name: given.shape for name, given in header.entries.items()} == shapes
    assert header.size == len(content)


def test_entries_say_where_the_data_are(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(file({"a": GOOD, "b": entry("BF16", [2], 8)}, b"A" * 8 + b"BBBB"))
    header = read_header(path)
    content = path.read_bytes()
    assert content[slice(*header.entries["a"][2:4])] == b"A" * 8
    assert content[slice(*header.entries["b"][2:4])] == b"BBBB"
    assert header.entries["b"].dtype == "BF16"
    assert header.entries["b"].nbytes == 4
    assert header.entries["b"].file == path
    info = path.stat()
    assert header.stamp == (info.st_size, info.st_mtime_ns, info.st_ino)


def test_limits_hold_at_the_limit_and_not_above(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    raw = json.dumps({"w": GOOD}).encode()
    path.write_bytes(file(raw, bytes(8), pad=HEADER_BYTES - len(raw)))
    assert list(read_header(path).entries) == ["w"]
    path.write_bytes(file(raw, bytes(8), pad=HEADER_BYTES - len(raw) + 1))
    with pytest.raises(CheckpointError, match="over the limit of 33554432"):
        read_header(path)


def test_too_many_tensors_or_values(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(many(200_001))
    with pytest.raises(CheckpointError, match="200001 tensors, over the limit"):
        read_header(path)
    path.write_bytes(file(b'{"w":[' + b"[]," * 1_500_000 + b"[]]}"))
    with pytest.raises(CheckpointError, match="over 2400000 values"):
        read_header(path)


def test_hundred_thousand_tensors_in_a_second(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(many(100_000))
    assert within(1, lambda: read_header(path))
    assert len(read_header(path).entries) == 100_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_and_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("model.safetensors", "folder.safetensors"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            read_header(tmp_path / name)
    with pytest.raises(CheckpointError, match="can't be opened: No such file"):
        read_header(tmp_path / "none")
    with pytest.raises(HubError, match="no regular file"):
        open_checkpoint(resolve(tmp_path))
