"""Models that fail by their weights or their folders, and folders that can't be had."""

from __future__ import annotations

import math
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from blocks import (
    BlocksError,
    CheckpointError,
    ConfigError,
    Encoder,
    Full,
    GenerationError,
    GQAttention,
    HubError,
    SentenceHead,
    Spec,
    SpecError,
    beam_search,
    embed,
    from_pretrained,
    generate,
    save_pretrained,
)
from blocks.hub import load as loading
from tests.gallery import sound
from tests.gallery.harness import Act, Case

UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.layers.1.post_attention_layernorm.weight"
SPEC = Spec(
    Encoder,
    vocab=32,
    dim=16,
    layers=(Spec(GQAttention, heads=4, mask=Full()),),
    head=SentenceHead,
)
READER = SPEC()


def nothing(folder: Path) -> None: ...


def weights(name: str, value: float, count: int = 1) -> Callable[[Path], object]:
    """The first numbers of a tensor are others."""

    def write(folder: Path) -> None:
        data = sound.tensors()
        dtype, shape, raw = data[name]
        data[name] = dtype, shape, struct.pack("<f", value) * count + raw[4 * count :]
        sound.write(folder, data)

    return write


def meanwhile(change: Callable[[Path], object]) -> Act:
    """Loads while the folder changes between check and use."""

    def act(folder: Path) -> Any:
        real = loading.read_tensors

        def late(*args: Any, **options: Any) -> Any:
            change(folder)
            return real(*args, **options)

        loading.read_tensors = late
        return str(from_pretrained(folder))

    return act


def replace(folder: Path) -> None:
    (folder / "new").write_bytes(sound.pack(sound.tensors(2)))
    os.replace(folder / "new", folder / sound.MODEL)


def vanished(folder: Path) -> Any:
    """The tokenizer of a model whose folder is gone."""
    model = from_pretrained(folder, copy=True)
    shutil.rmtree(folder)
    READER.origin = model.origin
    return embed(READER, "the other").tolist()


def save(place: str, prepare: Callable[[Path], object] = nothing, **how: Any) -> Act:
    def act(folder: Path) -> Any:
        model = from_pretrained(folder)
        prepare(folder)
        return save_pretrained(model, place.format(folder), **how)

    return act


def forbid(folder: Path) -> None:
    """A folder that others may read; the superuser, who may write anywhere, becomes another."""
    (folder / "out").mkdir()
    (folder / "out").chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


def failed(name: str, damage: Any, reason: str, tensor: str | None, **options: Any) -> Case:
    """Generation with weights that are not finite, or lead there; without a tensor, in float16."""
    kind = None if tensor else torch.float16

    def act(folder: Path) -> Any:
        model = from_pretrained(folder, dtype=kind)
        if "beams" in options:
            return beam_search(model, [0, 5], max_new_tokens=4, **options)[1].tolist()
        return generate(model, [0, 5], max_new_tokens=4, **options).tolist()

    hint = "check_finite=True" if tensor else "wider dtype"
    tensor = tensor or "layers.1.mlp.norm_in"
    return Case(name, damage, GenerationError, reason, tensor=tensor, hint=hint, act=act)


def opened(name: str, field: str, reason: str, error: type[BlocksError], **how: Any) -> Case:
    def act(folder: Path) -> Any:
        return str(from_pretrained(how.pop("repo_or_dir", folder), **how))

    return Case(name, nothing, error, reason, field=field, act=act)


WEIGHTS = [
    failed("NaN, greedy", weights(UP, math.nan), "holds NaN", "layers.1.mlp.up.weight"),
    failed(
        "NaN, drawn", weights(UP, math.nan), "holds NaN", "layers.1.*up.weight", temperature=1.0
    ),
    failed("infinity, beams", weights("lm_head.weight", math.inf), "h", "head.weight", beams=2),
    failed("float16 overflows", weights(NORM, 6e4, 16), "this block's output is the first", None),
]
CASES = [
    *WEIGHTS,
    Case(
        "replaced",
        nothing,
        CheckpointError,
        "was changed",
        file=sound.MODEL,
        act=meanwhile(replace),
    ),
    Case(
        "removed", nothing, CheckpointError, "was changed", file=".*", act=meanwhile(shutil.rmtree)
    ),
    Case("gone", nothing, HubError, "is not a folder", file="model", act=vanished),
    opened("a number as a folder", "repo_or_dir", "not int", HubError, repo_or_dir=5),
    opened("dtype is a word", "dtype", "'half' is no torch.dtype", SpecError, dtype="half"),
    opened("dtype of whole numbers", "dtype", "no torch.dtype of", SpecError, dtype=torch.int8),
    opened("no such device", "device", "'moon' can't be used", SpecError, device="moon"),
    opened("rewrite is a word", "rewrite", "not the Spec of a model", ConfigError, rewrite="x"),
    Case(
        "into a file",
        nothing,
        CheckpointError,
        "it is a file",
        file="config.json",
        act=save("{}/config.json"),
    ),
    Case(
        "below a file",
        nothing,
        CheckpointError,
        "Not a directory",
        file="x",
        act=save("{}/config.json/x"),
    ),
    Case(
        "into a locked folder",
        nothing,
        CheckpointError,
        "ermission denied",
        file="out",
        act=save("{}/out", forbid),
    ),
    Case(
        "below a locked folder",
        nothing,
        CheckpointError,
        "ermission denied",
        file="in",
        act=save("{}/out/in", forbid),
    ),
    Case(
        "a name with NUL",
        nothing,
        CheckpointError,
        "null byte",
        field="folder",
        act=save("{}/a\0b"),
    ),
    Case(
        "a name that is empty", nothing, CheckpointError, "is empty", field="folder", act=save("")
    ),
    Case(
        "a name too long",
        nothing,
        CheckpointError,
        "too long",
        file="x+",
        act=save("{}/" + "x" * 300),
    ),
    Case(
        "shards of nothing",
        nothing,
        CheckpointError,
        "0 is not a size",
        field="max_shard_size",
        act=save("{}/out", max_shard_size=0),
    ),
    Case(
        "a word as a tokenizer",
        nothing,
        CheckpointError,
        "must be a blocks.Tok",
        field="tokenizer",
        act=save("{}/out", tokenizer="x"),
    ),
]
