"""Indexes that lie or can't be read; and those that lead somewhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gallery.cases import index_places
from tests.gallery.cases.index_places import (
    FIRST,
    HEAD,
    LAST,
    case,
    mapped,
    named,
    sharded,
)
from tests.gallery.harness import Case
from tests.gallery.sound import INDEX, MODEL, SHARDS, edit, pack, shapes, shard, tensors

EMBED = "model.embed_tokens.weight"
UP = "model.layers.0.mlp.up_proj.weight"
STEMS = "diffusion_pytorch_model.safetensors"


def text(raw: str | bytes) -> Callable[[Path], object]:
    """Another text of the index."""
    data = raw.encode() if isinstance(raw, str) else raw
    return sharded(lambda folder: (folder / INDEX).write_bytes(data))


def fields(**new: Any) -> Callable[[Path], object]:
    return sharded(lambda folder: edit(folder / INDEX, lambda index: index | new))


def homes(**new: Any) -> Callable[[Path], object]:
    return mapped(lambda weight_map: weight_map.update(new))


def shard_of(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], object]:
    """Other tensors in the last shard."""

    def damage(folder: Path) -> None:
        data = shard(folder)[LAST]
        (folder / LAST).write_bytes(pack(change(data) or data))

    return damage


def twice(data: dict[str, Any]) -> None:
    data[EMBED] = tensors(2)[EMBED]


def another(folder: Path) -> None:
    """The index of a deeper model."""
    weight_map = dict.fromkeys(shapes(3), FIRST)
    edit(folder / INDEX, lambda index: {"weight_map": weight_map})


def lent(folder: Path) -> None:
    """A tensor lies in the other shard than the index says."""
    parts = shard(folder)
    parts[LAST][UP] = parts[FIRST].pop(UP)
    for name, data in parts.items():
        (folder / name).write_bytes(pack(data))


def exchanged(folder: Path) -> None:
    """The two shards under each other's names."""
    os.rename(folder / FIRST, folder / "x")
    os.rename(folder / LAST, folder / FIRST)
    os.rename(folder / "x", folder / LAST)


def stale(folder: Path) -> None:
    (folder / MODEL).write_bytes(pack(tensors(2)))


def diffusers(folder: Path) -> None:
    shutil.copy(folder / LAST, folder / STEMS)


def spread(folder: Path) -> None:
    """10,001 shards, of which none is there."""
    weight_map = {f"w{i}": f"{i}.safetensors" for i in range(10_001)}
    edit(folder / INDEX, lambda index: {"weight_map": weight_map})


def large(folder: Path) -> None:
    os.truncate(folder / INDEX, (64 << 20) + 1)


def huge(folder: Path) -> None:
    os.truncate(folder / INDEX, 1 << 40)


def pickled(folder: Path) -> None:
    """An index of pickles and nothing else."""
    for name in SHARDS:
        os.rename(folder / name, folder / name.replace(".safetensors", ".bin"))
    edit(
        folder / INDEX,
        lambda index: {
            "weight_map": {
                name: file.replace(".safetensors", ".bin")
                for name, file in index["weight_map"].items()
            }
        },
    )


def differs(name: str, damage: Callable[[Path], object], reason: str, tensor: str) -> Case:
    return case(name, damage, f"doesn't agree with its files: {reason}", tensor)


MAP = "must name the file of each tensor in an object"
TWO = "holds two checkpoints: "
DEEP = '{"weight_map":' + "[" * 100_000

CASES = [
    *index_places.CASES,
    case("a number for a name", named(7), "its file must be a name, not 7", HEAD),
    case("null for a name", named(None), "its file must be a name, not None", HEAD),
    case("an array for a name", named([LAST]), "its file must be a name, not", HEAD),
    case(
        "a tensor of 10,000 letters",
        homes(**{"x" * 10_000: LAST}),
        "over 512 characters",
        "x{10000}",
    ),
    differs("a tensor in two shards", shard_of(twice), f"{EMBED} is in {LAST} although", EMBED),
    differs("a tensor in the other shard", lent, f"{UP} is in {LAST} although .* says {FIRST}", UP),
    differs("the other shard for a tensor", homes(**{HEAD: FIRST}), f"{HEAD} is in {LAST}", HEAD),
    differs("a tensor that is nowhere", homes(ghost=LAST), f"ghost is not in {LAST}", "ghost"),
    differs(
        "no word of a tensor",
        mapped(lambda m: m.pop(HEAD) and None),
        f"{HEAD} is in {LAST} but",
        HEAD,
    ),
    differs("no word of most tensors", fields(weight_map={HEAD: LAST}), ".*and 2 more$", ".*"),
    differs("shards under each other's names", sharded(exchanged), ".*although the index", ".*"),
    differs("another model's index", sharded(another), ".*; and 12 more$", ".*"),
    differs(
        "a tensor less in a shard",
        shard_of(lambda data: {name: one for name, one in data.items() if name != HEAD}),
        f"{HEAD} is not in {LAST}",
        HEAD,
    ),
    differs(
        "another case of a name",
        shard_of(lambda data: {name.upper(): one for name, one in data.items()}),
        "MODEL.* is in .* but not in the index",
        ".*",
    ),
    case("a stale file beside it", sharded(stale), f"{TWO}{MODEL}, and the shards", file="model"),
    case("a second kind of names", sharded(diffusers), f"{TWO}.* and {STEMS}", file="model"),
    case("only pickles", sharded(pickled), "is not a .safetensors file", ".*"),
    case("empty", text(""), "is not valid JSON"),
    case("not JSON", text("{"), "is not valid JSON"),
    case("not UTF-8", text('{"weight_map": 1}'.encode("utf-16")), "is not valid JSON"),
    case("an array", text("[]"), MAP, field="weight_map"),
    case("nothing in it", text("{}"), MAP, field="weight_map"),
    case("a map of nothing", fields(weight_map={}), MAP, field="weight_map"),
    case("a list for the map", fields(weight_map=[[HEAD, LAST]]), MAP, field="weight_map"),
    case("null for the map", fields(weight_map=None), MAP, field="weight_map"),
    case("a shard for the map", fields(weight_map=LAST), MAP, field="weight_map"),
    case("a tensor twice", text('{"weight_map": {"a": "x", "a": "y"}}'), 'the key "a" twice'),
    case("two maps", text('{"weight_map": {}, "weight_map": {"a": "x"}}'), '"weight_map" twice'),
    case("nested a hundred thousand deep", text(DEEP), "nested too deeply"),
    case("NaN for a size", text('{"metadata": {"total_size": NaN}}'), "the number NaN"),
    case(
        "words for a size",
        fields(metadata={"total_size": "9"}),
        "a number of bytes",
        field=".*_size",
    ),
    case(
        "a size below 0", fields(metadata={"total_size": -1}), "a number of bytes", field=".*_size"
    ),
    case("true for a size", fields(metadata={"total_size": True}), "a number of", field=".*_size"),
    case("a list for metadata", fields(metadata=[]), "must be an object", field="metadata"),
    case("more than 64 MiB", sharded(large), "over the limit of 67108864 for an index"),
    case("a terabyte of zeros", sharded(huge), "over the limit of 67108864 for an index"),
    case("10,001 shards", sharded(spread), "10001 files, over the limit of 10000"),
]
