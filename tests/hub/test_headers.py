"""Headers of safetensors files: what is refused, and with which words."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import CheckpointError, HubError
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.headers import HEADER_BYTES, read_header
from blocks.hub.source import resolve
from tests.clock import within
from tests.hub.craft import entry, file, many, weights

GOOD = entry("F32", [2])
TEXT = json.dumps(GOOD).encode()


def one(**changes: Any) -> bytes:
    return file({"w": {**GOOD, **changes}}, bytes(8))


# name: bytes, what the message says, whether it names the tensor
DAMAGED: dict[str, tuple[bytes, str, bool]] = {
    "empty": (b"", "is empty", False),
    "seven bytes": (b"\x10" + bytes(6), "only 7 bytes", False),
    "only a length": (file(b"", length=64), "64 bytes and all data are missing", False),
    "header cut": (file({"w": GOOD})[:-9], "cut short in its header: 9 bytes", False),
    "data cut": (file({"w": GOOD}, bytes(5)), "cut short: 3 of", False),
    "no data": (file({"w": GOOD}), "cut short: 8 of", False),
    "rest": (file({"w": GOOD}, bytes(11)), "3 bytes after its last tensor", False),
    "zeros": (bytes(64), "no header at its beginning", False),
    "noise": (bytes(range(128, 228)), "no header at its beginning", False),
    "zip": (b"PK\x03\x04" + bytes(60), "zip archive", False),
    "pickle": (b"\x80\x04\x95" + bytes(60), "pickle", False),
    "old pickle": (b"\x80\x02}q\x00" + bytes(60), "pickle", False),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(60), "GGUF", False),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5", False),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(60), "gzip", False),
    "lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8\n",
        "git lfs pull",
        False,
    ),
    "web page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page", False),
    "json": (b'{"error": "Entry not found"}', "a JSON file", False),
    "not json": (file(b'{"w": [1, 2', bytes(8)), "not valid JSON", False),
    "not utf-8": (file(b'{"\xff\xfe": 1}', bytes(8)), "not valid JSON", False),
    "utf-16": (file('{"w": 1}'.encode("utf-16-le"), bytes(8)), "not valid JSON", False),
    "nan": (file(b'{"w": NaN}', bytes(8)), "NaN", False),
    "huge number": (file(b'{"w": ' + b"9" * 5000 + b"}"), "not valid JSON", False),
    "deep": (file(b'{"w":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "too deeply", False),
    "twice": (file(b'{"w":' + TEXT + b',"w":' + TEXT + b"}", bytes(8)), 'the key "w" twice', False),
    "key twice": (
        file(b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        '"dtype" twice',
        False,
    ),
    "a list": (file({"w": [1, 2]}, bytes(8)), "must have exactly dtype", True),
    "field missing": (file({"w": {"dtype": "F32", "shape": [2]}}, bytes(8)), "exactly", True),
    "field more": (one(extra=1), "must have exactly dtype", True),
    "dtype unknown": (one(dtype="F31"), "unknown dtype F31", True),
    "dtype a list": (one(dtype=["F32"]), "unknown dtype", True),
    "shape a text": (one(shape="2"), "must be a list", True),
    "rank nine": (one(shape=[2] + [1] * 8), "at most 8", True),
    "size a bool": (one(shape=[2, True]), "whole numbers", True),
    "size a float": (one(shape=[2.0]), "whole numbers", True),
    "size negative": (one(shape=[-2]), "whole numbers", True),
    "size a bomb": (one(shape=[2**48]), "whole numbers", True),
    "bomb of products": (one(shape=[2**47, 2**47]), "needs", True),
    "shape too large": (one(shape=[3]), "needs 12 bytes", True),
    "shape too small": (one(shape=[1]), "needs 4 bytes", True),
    "offsets three": (one(data_offsets=[0, 4, 8]), "two whole numbers", True),
    "offsets floats": (one(data_offsets=[0.0, 8.0]), "two whole numbers", True),
    "offsets bools": (one(data_offsets=[False, 8]), "two whole numbers", True),
    "offsets nested": (one(data_offsets=[[0], [8]]), "two whole numbers", True),
    "offsets negative": (one(data_offsets=[-8, 0]), "negative", True),
    "offsets swapped": (one(data_offsets=[8, 0]), "out of order", True),
    "hole": (
        file({"v": GOOD, "w": entry("F32", [2], 16)}, bytes(24)),
        "leaves a hole after the data before it, by 8",
        True,
    ),
    "hole in front": (file({"w": entry("F32", [2], 4)}, bytes(12)), "leaves a hole", True),
    "overlap": (
        file({"v": GOOD, "w": entry("F32", [2], 4)}, bytes(12)),
        "overlaps the data before it, by 4",
        True,
    ),
    "same place": (file({"v": GOOD, "w": GOOD}, bytes(8)), "overlaps", True),
    "half a byte": (
        file({"w": {**GOOD, "dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, b"\0"),
        "needs 2",
        True,
    ),
    "long name": (file({"w" * 513: GOOD}, bytes(8)), "over 512 characters", True),
    "half a letter": (file(b'{"\\ud800":' + TEXT + b"}", bytes(8)), "Unicode", True),
    "metadata a list": (
        file({"__metadata__": [], "w": GOOD}, bytes(8)),
        "strings to strings",
        False,
    ),
    "metadata numbers": (file({"__metadata__": {"a": 1}, "w": GOOD}, bytes(8)), "strings", False),
}

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


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    content, reason, names_tensor = DAMAGED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert reason in str(caught.value)
    assert caught.value.file == str(path)
    assert (caught.value.tensor is not None) == names_tensor
    assert len(str(caught.value)) <= 2_000


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


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_any_mutation_is_read_or_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(weights("a", "b", "c"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(["set", "cut", "drop", "insert"]))
        if kind == "insert" or not content:
            content.insert(at, data.draw(st.integers(0, 255)))
        elif kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at + 1 :]
        else:
            del content[at]
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except CheckpointError as error:
        assert error.file == str(path)
    else:
        assert sum(given.nbytes for given in header.entries.values()) <= len(content)
