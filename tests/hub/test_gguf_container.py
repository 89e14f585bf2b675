"""The container: what it says is read, and whatever it lies about is refused soon and cheaply."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from random import Random

import pytest

import blocks
from blocks.errors import BlocksError, CheckpointError
from blocks.hub.gguf.container import Short, parse
from tests.clock import soon
from tests.hub.gguf_bytes import (
    BOOL,
    F32,
    I32,
    LIST,
    SMALL,
    SOUND,
    TEXT,
    TWO,
    U8,
    U32,
    file,
    key,
    tensor,
    text,
)
from tests.hub.gguf_files import reference, write
from tests.hub.gguf_kinds import KINDS
from tests.mutations.damage import bitten

ALIGN = "general.alignment"
HUGE = 1 << 60
CASES = {
    "empty": (b"", "is empty"),
    "only its magic": (b"GGUF", "cut short in its header"),
    "another format": (b"PK\x03\x04" + bytes(60), "no GGUF file"),
    "version 1": (file(version=1), "version 1; 2 and 3"),
    "version 4": (file(version=4), "version 4; 2 and 3"),
    "big-endian": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
    "so many tensors": (file(counts=(HUGE, 0)), "claims 1152921504606846976 tensors"),
    "so many keys": (file(counts=(0, HUGE)), "claims 1152921504606846976 keys"),
    "more tensors than there are": (file(SMALL, TWO, counts=(3, 4)), "cut short|1 to 512"),
    "more keys than there are": (file(SMALL, counts=(0, 5)), "cut short"),
    "fewer tensors than there are": (
        file(SMALL, TWO, bytes(50), counts=(1, 4)),
        "after its last tensor",
    ),
    "a key without a name": (file([text("") + bytes(8)]), "0 characters"),
    "a key of a mile": (file([text("a" * 257)]), "257 characters"),
    "a key that goes on": (file([text("a", HUGE)]), "1152921504606846976 characters"),
    "a key that is no text": (file([text(b"\xff\xfe")]), "is no text"),
    "a key twice": (file([key("a", U8, 1), key("a", U8, 1)]), "a: is there twice"),
    "a value of no type": (file([text("a") + struct.pack("<I", 13)]), "unknown type 13"),
    "a text that goes on": (file([text("a") + struct.pack("<IQ", TEXT, HUGE)]), "cut short"),
    "a flag of two": (file([key("a", BOOL, 2)]), "neither true nor false"),
    "a list of no type": (file([text("a") + struct.pack("<IIQ", LIST, 13, 1)]), "unknown type"),
    "a list of lists": (file([text("a") + struct.pack("<IIQ", LIST, LIST, 1)]), "list of lists"),
    "a list that goes on": (file([text("a") + struct.pack("<IIQ", LIST, F32, HUGE)]), "claims"),
    "texts that go on": (
        file([text("a") + struct.pack("<IIQ", LIST, TEXT, 1 << 20)]),
        "cut short",
    ),
    "texts of which one goes on": (
        file([text("a") + struct.pack("<IIQQ", LIST, TEXT, 1, HUGE) + bytes(64)]),
        "cut short",
    ),
    "many lists": (
        file([text(f"k{i}") + struct.pack("<IIQ", LIST, U8, 0) for i in range(5000)]),
        "claims 5000 keys",
    ),
    "alignment 0": (file([key(ALIGN, U32, 0)]), "0 is no power of two"),
    "alignment 1": (file([key(ALIGN, U32, 1)]), "1 is no power of two"),
    "alignment 48": (file([key(ALIGN, U32, 48)]), "48 is no power of two"),
    "alignment below zero": (file([key(ALIGN, I32, -32)]), "-32 is no power of two"),
    "alignment of a text": (file([key(ALIGN, TEXT, "32")]), "32 is no power of two"),
    "alignment of a gigabyte": (file([key(ALIGN, U32, 1 << 30)]), "no power of two"),
    "a tensor without a name": (file((), [tensor("", [4])]), "0 characters"),
    "a tensor twice": (file((), [tensor("a", [4]), tensor("a", [4])], bytes(32)), "twice"),
    "no axes": (file((), [tensor("a", [])], bytes(32)), "has 0 axes"),
    "five axes": (file((), [tensor("a", [1] * 5)], bytes(32)), "has 5 axes"),
    "an axis of none": (file((), [tensor("a", [4, 0])], bytes(32)), r"\[0, 4\] must be whole"),
    "an axis too long": (file((), [tensor("a", [1 << 50])], bytes(32)), "must be whole"),
    "axes that overflow": (file((), [tensor("a", [1 << 40] * 4)], bytes(32)), "cut short"),
    "a type that is no more": (file((), [tensor("a", [4], 4)], bytes(32)), "type 4"),
    "a type that never was": (file((), [tensor("a", [4], 1 << 31)], bytes(32)), "type 2147483648"),
    "rows of half a block": (
        file((), [tensor("a", [48], 2)], bytes(32)),
        "no whole blocks of Q4_0",
    ),
    "an odd offset": (file((), [tensor("a", [4], 0, 8)], bytes(64)), "no multiple of 32"),
    "an offset beyond": (file((), [tensor("a", [4], 0, 1 << 20)], bytes(32)), "cut short"),
    "an offset that overflows": (
        file((), [tensor("a", [4], 0, (1 << 64) - 32)], bytes(32)),
        "cut short",
    ),
    "two at one place": (file((), [tensor("a", [4]), tensor("b", [4])], bytes(32)), "overlaps"),
    "two that overlap": (
        file((), [tensor("a", [16]), tensor("b", [4], 0, 32)], bytes(96)),
        "overlaps",
    ),
    "a hole": (file((), [tensor("a", [4]), tensor("b", [4], 0, 64)], bytes(96)), "leaves a hole"),
    "a hole in front": (file((), [tensor("a", [4], 0, 32)], bytes(64)), "leaves a hole"),
    "data that are too short": (SOUND[:-1], "cut short: 1 of"),
    "data without a tensor": (SOUND + bytes(64), "after its last tensor"),
}


def test_what_a_file_says_is_read() -> None:
    found = parse(SOUND, len(SOUND), "x")
    assert found.metadata["general.architecture"] == "qwen2"
    assert list(found.metadata["tokenizer.ggml.tokens"]) == ["a", "b"]
    assert found.metadata["tokenizer.ggml.scores"] == (0.5, 1.0)
    first, second = found.tensors["a"], found.tensors["b"]
    assert (first.kind.name, first.shape) == ("F32", (2, 4))
    assert (second.kind.name, second.shape, second.end) == ("Q4_0", (32,), len(SOUND))
    assert first.start % 32 == 0 and second.start == first.end
    old = SOUND[:4] + struct.pack("<I", 2) + SOUND[8:]
    assert parse(old, len(old), "x").tensors == found.tensors


@pytest.mark.parametrize("name", CASES)
def test_lies_are_refused(name: str, tmp_path: Path) -> None:
    raw, told = CASES[name]
    (tmp_path / "model.gguf").write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=told) as caught:
            soon(0.5, lambda: parse(raw, len(raw), "model.gguf"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.file == "model.gguf"
    for call in (blocks.from_pretrained, blocks.inspect, blocks.Tokenizer.from_pretrained):
        with pytest.raises(CheckpointError, match=told):
            call(tmp_path / "model.gguf")


def test_a_file_may_end_anywhere() -> None:
    for end in range(len(SOUND)):
        with pytest.raises(CheckpointError):
            parse(SOUND[:end], end, "x")


def test_a_header_is_read_as_far_as_it_is_at_hand() -> None:
    header = len(SOUND) - 50
    for end in range(4, header - 32):
        with pytest.raises(Short):
            parse(SOUND[:end], len(SOUND), "x")
    assert parse(SOUND[:header], len(SOUND), "x").tensors.keys() == {"a", "b"}


def test_a_small_file_can_not_claim_much(tmp_path: Path) -> None:
    """A hundred thousand descriptions of tensors without a byte of data are refused at once."""
    raw = file((), [tensor(f"t{i}", [1 << 20], 0, i << 22) for i in range(1000)], bytes(64))
    with pytest.raises(CheckpointError, match="cut short"):
        soon(0.5, lambda: parse(raw, len(raw), "x"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bites") / "model.gguf"
    write(path, reference(KINDS["llama"], "plain")[0], KINDS["llama"])
    return path.read_bytes()


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))]
)
def test_random_bites_are_refused_or_change_nothing_but_numbers(
    part: int, sound: bytes, tmp_path: Path
) -> None:
    """In header and data alike; a file that is taken still holds all that the family asks for."""
    names = blocks.addresses(_loaded(sound, tmp_path)).keys()
    header = parse(sound, len(sound), "x").tensors["token_embd.weight"].start
    refused = 0
    for n in range(100):
        random = Random(100 * part + n)
        raw = bitten(sound[:header], random) + sound[header:]
        if random.random() < 0.1:
            raw = sound[: random.randrange(len(sound))]
        try:
            model = soon(1.0, lambda raw=raw: _loaded(raw, tmp_path))
        except BlocksError:
            refused += 1
        else:
            assert blocks.addresses(model).keys() == names
    assert refused > 50


def _loaded(raw: bytes, folder: Path) -> blocks.CausalLM:
    (folder / "model.gguf").write_bytes(raw)
    return blocks.from_pretrained(folder / "model.gguf")
