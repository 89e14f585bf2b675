"""Weight files whose headers break the format, or ask for more than is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks import CheckpointError
from tests.gallery.harness import Case
from tests.gallery.sound import MODEL, pack, tensors
from tests.hub.craft import file, many

NORM = "model.norm.weight"
HEAD = "lm_head.weight"  # the last in the file
EMBED = "model.embed_tokens.weight"  # the first


def header(edit: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Another header over the same data."""
    return lambda folder: (folder / MODEL).write_bytes(pack(tensors(), edit=edit))


def text(edit: Callable[[str], str | bytes]) -> Callable[[Path], object]:
    """Another text of the header."""

    def changed(found: Any) -> bytes:
        new = edit(json.dumps(found))
        return new.encode() if isinstance(new, str) else new

    return header(changed)


def whole(data: Callable[[], bytes]) -> Callable[[Path], object]:
    """Another file, made when it is wanted."""
    return lambda folder: (folder / MODEL).write_bytes(data())


def one(name: str = NORM, **fields: Any) -> Callable[[Path], object]:
    """Other fields of one tensor."""

    def edit(found: Any) -> None:
        found[name] |= fields

    return header(edit)


def instead(value: Any) -> Callable[[Path], object]:
    """Another description of the norm."""
    return header(lambda found: found | {NORM: value})


def moved(name: str, first: int, last: int) -> Callable[[Path], object]:
    """Where a tensor begins and ends, moved by some bytes."""

    def edit(found: Any) -> None:
        start, end = found[name]["data_offsets"]
        found[name]["data_offsets"] = [start + first, end + last]

    return header(edit)


def renamed(name: str) -> Callable[[Any], Any]:
    """The norm under another name."""
    return lambda found: {name if old == NORM else old: value for old, value in found.items()}


def twice(found: str) -> str:
    """A second norm of the same name, which lies somewhere else."""
    at = found.index(f'"{NORM}"')
    return f'{found[:at]}"{NORM}": {json.dumps(NO_DTYPE | {"dtype": "F32"})}, {found[at:]}'


def longer(found: Any) -> None:
    start, end = found[HEAD]["data_offsets"]
    found[HEAD] |= {"shape": [33, 16], "data_offsets": [start, end + 64]}


def same_place(found: Any) -> None:
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)]
    found[names[1]] = found[names[0]]


def empty_tensors(count: int) -> Callable[[], bytes]:
    """So many tensors of no elements."""

    def make() -> bytes:
        every = ",".join(
            f'"model.layers.{i}.mlp.experts.{i}.down_proj.weight":'
            '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
            for i in range(count)
        )
        return file(("{" + every + "}").encode())

    return make


NO_DTYPE = {"shape": [16], "data_offsets": [0, 64]}
MIB = 1 << 20
LETTERS = "w" * 10_000


def case(name: str, damage: Callable[[Path], object], reason: str, size: int = 0) -> Case:
    return Case(name, damage, CheckpointError, reason, file=MODEL, header=size)


def tensor(
    name: str, damage: Callable[[Path], object], reason: str, which: str = "model.norm.weight"
) -> Case:
    return Case(name, damage, CheckpointError, reason, file=MODEL, tensor=which)


JSON = "^is not valid JSON"
FIELDS = "must have exactly dtype, shape and data_offsets"
SIZES = "must be whole numbers from 0 to 2\\*\\*48"
RANK = "must be a list of at most 8 sizes"
OFFSETS = "data_offsets must be two whole numbers"

CASES = [
    case("not UTF-8", text(lambda t: t.replace("norm", "n\0rm").encode("utf-16-le")), JSON),
    case(
        "a byte that is no letter", text(lambda t: t.encode().replace(b"norm", b"\xff\xfe")), JSON
    ),
    case("not JSON", text(lambda t: t[:-1] + ","), JSON),
    case("single quotes", text(lambda t: t.replace('"', "'")), JSON),
    case("more behind its end", text(lambda t: t + "{}"), JSON),
    case("zeros behind its end", text(lambda t: t + "\0" * 8), JSON),
    case("an array", header(lambda found: [found]), "no header at its beginning"),
    case("null", header(lambda found: b"null"), "no header at its beginning"),
    case("a space before it", text(lambda t: " " + t), "no header at its beginning"),
    case("a byte order mark", text(lambda t: t.encode("utf-8-sig")), "no header at its beginning"),
    case("NaN in its header", one(shape=[float("nan")]), "the number NaN, which is not JSON"),
    case("infinity in its header", one(data_offsets=[0, float("inf")]), "the number Infinity"),
    case("a number of 5,000 digits", text(lambda t: t.replace("[32", "[" + "3" * 5000, 1)), JSON),
    case("a tensor twice", text(twice), f'has the key "{NORM}" twice'),
    case(
        "a field twice", text(lambda t: t.replace('"dtype"', '"shape": [16], "dtype"', 1)), "twice"
    ),
    case(
        "nested a hundred thousand deep",
        text(lambda _: '{"w":' + "[" * 100_000 + "]" * 100_000 + "}"),
        "nested too deeply",
    ),
    case("93 MB of empty tensors", whole(empty_tensors(860_000)), "over the limit of 33554432"),
    case(
        "250,000 tensors", whole(lambda: many(250_000)), "250000 tensors, over the limit", 25 * MIB
    ),
    case(
        "a shape of two million sizes", instead({"shape": [1] * 2_500_000}), "over 2400000 values"
    ),
    case(
        "metadata of numbers", header(lambda f: f | {"__metadata__": {"format": 1}}), "strings to"
    ),
    case("metadata in metadata", header(lambda f: f | {"__metadata__": {"a": {}}}), "strings to"),
    case(
        "metadata that is null", header(lambda f: f | {"__metadata__": None}), "strings to strings"
    ),
    case("metadata that is an array", header(lambda f: f | {"__metadata__": []}), "strings to"),
    tensor("null for a tensor", instead(None), FIELDS),
    tensor("an array for a tensor", instead(["F32", [16], [0, 64]]), FIELDS),
    tensor("no dtype", instead(NO_DTYPE), FIELDS),
    tensor("no shape", instead({"dtype": "F32", "data_offsets": [0, 64]}), FIELDS),
    tensor("no offsets", instead({"dtype": "F32", "shape": [16]}), FIELDS),
    tensor("a field more", one(strides=[1]), FIELDS),
    tensor("a field in capitals", instead(NO_DTYPE | {"Dtype": "F32"}), FIELDS),
    tensor("an unknown dtype", one(dtype="F31"), "unknown dtype F31"),
    tensor("a dtype in small letters", one(dtype="f32"), "unknown dtype f32"),
    tensor("a dtype of another library", one(dtype="torch.float32"), "unknown dtype torch.float32"),
    tensor("a dtype that is a number", one(dtype=7), "unknown dtype 7"),
    tensor("a dtype that is an object", one(dtype={"F32": 1}), "unknown dtype"),
    tensor("a negative size", one(shape=[-16]), SIZES),
    tensor("two negative sizes", one(shape=[-4, -4]), SIZES),
    tensor("a size with a point", one(shape=[16.0]), SIZES),
    tensor("a size that is true", one(shape=[16, True]), SIZES),
    tensor("a size that is a string", one(shape=["16"]), SIZES),
    tensor("a size that is null", one(shape=[None]), SIZES),
    tensor("a size of 2^63", one(shape=[2**63]), SIZES),
    tensor("a size of 2^64 + 16", one(shape=[2**64 + 16]), SIZES),
    tensor(
        "sizes whose product is 2^64 + 16", one(shape=[2**40, 2**24]), "needs 73786976294838206464"
    ),
    tensor(
        "a product that is 0 in 64 bits", one(shape=[2**32, 2**32], data_offsets=[0, 0]), "needs"
    ),
    tensor("nine axes", one(shape=[16, *[1] * 8]), RANK),
    tensor("a shape that is a number", one(shape=16), RANK),
    tensor("a shape that is a string", one(shape="16"), RANK),
    tensor("a shape that is null", one(shape=None), RANK),
    tensor("a size of 0 over bytes", one(shape=[16, 0]), "needs 0 bytes, its data_offsets give 64"),
    tensor("a shape of more than its bytes", one(shape=[17]), "needs 68 bytes, .* give 64"),
    tensor("a wider dtype than its bytes", one(dtype="F64"), "needs 128 bytes, .* give 64"),
    tensor("offsets the wrong way round", one(data_offsets=[64, 0]), "negative or out of order"),
    tensor("negative offsets", one(data_offsets=[-64, 0]), "negative or out of order"),
    tensor("offsets with a point", one(data_offsets=[0.0, 64.0]), OFFSETS),
    tensor("an offset that is false", one(data_offsets=[False, 64]), OFFSETS),
    tensor("offsets in arrays", one(data_offsets=[[0], [64]]), OFFSETS),
    tensor("half a byte", one(dtype="F4", shape=[127]), "of F4 ends within a byte"),
    tensor("three offsets", one(data_offsets=[0, 32, 64]), OFFSETS),
    tensor("offsets that are strings", one(data_offsets=["0", "64"]), OFFSETS),
    tensor("offsets that are null", one(data_offsets=None), OFFSETS),
    tensor("offsets of 2^70", one(data_offsets=[2**70, 2**70 + 64]), "leaves a hole", HEAD),
    tensor(
        "two tensors in one place", header(same_place), "overlaps the data before it", ".*up_proj.*"
    ),
    tensor("an overlap of four bytes", moved(NORM, -4, -4), "overlaps the data before it, by 4"),
    tensor("a hole of four bytes", moved(HEAD, 4, 4), "leaves a hole .* by 4", HEAD),
    tensor("data that don't begin at 0", moved(EMBED, 4, 4), "leaves a hole", EMBED),
    case("past the end", header(longer), "cut short: 64 of"),
    tensor("a name of 10,000 letters", header(renamed(LETTERS)), "over 512 characters", LETTERS),
    tensor("a name of half a letter", header(renamed("\ud800")), "not valid Unicode", ".*"),
]
