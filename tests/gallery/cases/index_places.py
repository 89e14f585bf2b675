"""Indexes that lead somewhere else, and shards that are something else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks import BlocksError, CheckpointError, HubError
from tests.gallery.harness import Case
from tests.gallery.sound import INDEX, MODEL, SHARDS, edit, pack, shard, tensors, write

FIRST, LAST = SHARDS
HEAD = "lm_head.weight"


def sharded(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """The checkpoint in two files, and what is done to it then."""

    def damage(folder: Path) -> None:
        shard(folder)
        change(folder)

    return damage


def mapped(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], object]:
    """Other files of tensors."""
    return sharded(lambda folder: edit(folder / INDEX, lambda index: change(index["weight_map"])))


def at(place: str) -> Callable[[Path], object]:
    """The index says that the head is at a place where another head is indeed."""

    def change(folder: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack({HEAD: tensors(2)[HEAD]}))
        edit(folder / INDEX, lambda index: index["weight_map"].update({HEAD: place}))

    return sharded(change)


def named(name: Any) -> Callable[[Path], object]:
    """The index says that the head is in a file of this name, which nobody made."""
    return mapped(lambda weight_map: weight_map.update({HEAD: name}))


def absolute(folder: Path) -> None:
    other = write(folder.parent / "other")
    edit(folder / INDEX, lambda index: index["weight_map"].update({HEAD: str(other / MODEL)}))


def linked(folder: Path) -> None:
    """The last shard is a link to one of the same names and other numbers."""
    other = folder.parent / "other"
    other.mkdir()
    shutil.move(folder / LAST, other / LAST)
    (folder / LAST).symlink_to(other / LAST)


def linked_folder(folder: Path) -> None:
    linked(folder)
    (folder / LAST).unlink()
    (folder / "inner").symlink_to("../other")
    edit(
        folder / INDEX,
        lambda index: {
            "weight_map": {
                name: f"inner/{LAST}" if file == LAST else file
                for name, file in index["weight_map"].items()
            }
        },
    )


def instead(how: Callable[[Path], object]) -> Callable[[Path], object]:
    """Something else at the path of the last shard."""

    def change(folder: Path) -> None:
        (folder / LAST).unlink()
        how(folder / LAST)

    return sharded(change)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def cut(folder: Path) -> None:
    os.truncate(folder / LAST, (folder / LAST).stat().st_size - 1)


def capitals(folder: Path) -> None:
    os.rename(folder / LAST, folder / LAST.upper())


def link_index(folder: Path) -> None:
    shutil.move(folder / INDEX, folder.parent / "index.json")
    (folder / INDEX).symlink_to("../index.json")


def index_pipe(folder: Path) -> None:
    (folder / INDEX).unlink()
    os.mkfifo(folder / INDEX)


def case(
    name: str, damage: Callable[[Path], object], reason: str, tensor: str | None = None, **more: Any
) -> Case:
    """One that the index is to blame for."""
    options: dict[str, Any] = {"file": INDEX, "tensor": tensor, **more}
    return Case(name, damage, CheckpointError, reason, **options)


def unsafe(name: str, damage: Callable[[Path], object], reason: str) -> Case:
    return case(name, damage, f"it is said to be in {reason}", HEAD)


def broken(
    name: str, damage: Callable[[Path], object], reason: str, kind: type[BlocksError] = HubError
) -> Case:
    """One that a shard is to blame for."""
    return Case(name, damage, kind, reason, file=LAST)


CASES = [
    unsafe("a path upwards", at("../other/model.safetensors"), "leaves its folder"),
    unsafe("a path down and up", at("in/../../model.safetensors"), "leaves its folder"),
    unsafe("a path that only looks as if", at("in/../x.safetensors"), "leaves its folder"),
    unsafe("a path upwards with a space", named(".. /x.safetensors"), "leaves its folder"),
    unsafe("an absolute path", sharded(absolute), "is an absolute path"),
    unsafe("a device", named("/dev/zero"), "is an absolute path"),
    unsafe("this process's memory", named("/proc/self/mem"), "is an absolute path"),
    unsafe("a backslash", named("..\\model.safetensors"), "has a backslash or a colon"),
    unsafe("a drive", named("C:model.safetensors"), "has a backslash or a colon"),
    unsafe("a share", named("\\\\host\\share\\model.safetensors"), "has a backslash or a colon"),
    unsafe("an address", named("https://host/model.safetensors"), "has a backslash or a colon"),
    unsafe("another stream of a file", named("x.safetensors:y"), "has a backslash or a colon"),
    unsafe("a NUL", named("model.safetensors\0.safetensors"), "has control characters"),
    unsafe("a line break", named("model\n.safetensors"), "has control characters"),
    unsafe("escape codes", named("\x1b[2J.safetensors"), "has control characters"),
    unsafe("half a letter", named("\ud800.safetensors"), "has control characters"),
    unsafe("an empty name", named(""), "has 0 characters"),
    unsafe(
        "a name of 10,000 letters", named("x" * 10_000 + ".safetensors"), "has 10012 characters"
    ),
    unsafe("the folder itself", named("."), "is not a plain relative name"),
    unsafe("a slash twice", named("in//x.safetensors"), "is not a plain relative name"),
    unsafe("a pickle as a shard", at("pytorch_model.bin"), "is not a .safetensors file"),
    unsafe("the config as a shard", named("config.json"), "is not a .safetensors file"),
    unsafe("the index as a shard", named(INDEX), "is not a .safetensors file"),
    unsafe("capitals of another ending", named("x.SAFETENSORS"), "is not a .safetensors file"),
    case(
        "a shard that is missing",
        instead(lambda path: None),
        f"missing although {INDEX}",
        file=LAST,
    ),
    case(
        "a shard that nobody made", named("x.safetensors"), "missing although", file="x.safetensors"
    ),
    case("a shard in capitals", sharded(capitals), f"missing although {INDEX}", file=LAST),
    broken("a shard one byte short", sharded(cut), "cut short: 1 of", CheckpointError),
    broken("an empty shard", instead(Path.touch), "is empty", CheckpointError),
    broken("a link to another folder", sharded(linked), "leads out of its folder, to .*other"),
    broken("a linked folder", sharded(linked_folder), "leads out of its folder, to .*other"),
    broken("a link to a device", instead(device), "leads out of its folder, to /dev/zero"),
    broken("a pipe", instead(os.mkfifo), "is no regular file"),
    broken("a folder", instead(Path.mkdir), "is no regular file"),
    broken("a link to nothing", instead(lambda path: path.symlink_to("x")), "a link to nothing"),
    Case(
        "the index is a link", sharded(link_index), HubError, "leads out of its folder", file=INDEX
    ),
    Case("the index is a pipe", sharded(index_pipe), HubError, "is no regular file", file=INDEX),
]
