"""What may lie beside the weights, and is neither run nor read."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gallery.cases.container_files import Canary, zipped
from tests.gallery.cases.side_weights import custom
from tests.gallery.harness import Case
from tests.gallery.sound import edit, put, tensors
from tests.gallery.sound import pack as packed
from tests.gallery.sound import write as written


def files(**data: bytes) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        for name, raw in data.items():
            (folder / name.replace("__", ".")).write_bytes(raw)

    return damage


def config(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "config.json", lambda data: data | fields)


def stray(folder: Path) -> None:
    """Shards of another checkpoint, and their index of pickles."""
    for i in (1, 2):
        (folder / f"model-0000{i}-of-00002.safetensors").write_bytes(packed(tensors(3)))
    put(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "/dev/zero"}})


def odd(folder: Path) -> None:
    """What no loader opens."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(".")
    (folder / "out").symlink_to("/etc")
    (folder / "zero").symlink_to("/dev/zero")
    written(folder / "onnx")


CASES = [
    Case(
        "pickles",
        files(pytorch_model__bin=zipped(), training_args__bin=pickle.dumps(Canary())),
        None,
    ),
    Case("a checkpoint of another kind", files(tf_model__h5=b"\x89HDF", model__gguf=b"GGUF"), None),
    Case("stray shards", stray, None),
    Case("pipes, links and folders", odd, None),
    Case("code of its own", custom(), None),
    Case("a kernel of the Hub", config(_attn_implementation="someone/kernel:run"), None),
    Case("a kernel by another name", config(attn_implementation="someone/kernel"), None),
    Case("the name of another model", config(_name_or_path="/etc", _commit_hash="../.."), None),
    Case("checksums that nobody asks for", files(sha256__json=b"not read without verify"), None),
]
