"""The index of a checkpoint in several files, read as a text nobody vouches for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.errors import CheckpointError, printable
from blocks.hub.headers import NAME_LENGTH, open_regular, strict_json

INDEX_BYTES = 64 << 20
INDEX_TENSORS = 1_000_000
INDEX_FILES = 10_000


@dataclass(frozen=True)
class Index:
    """What `model.safetensors.index.json` says: the file of each tensor, and their bytes."""

    weight_map: dict[str, str]
    files: tuple[str, ...]
    total: int | None


def unsafe_name(name: str) -> str | None:
    """Why a file name that was read from a file may not be opened, or None if it may.

    Example:
        >>> unsafe_name("model-00001-of-00002.safetensors") is None
        True
        >>> unsafe_name("../secret.safetensors")
        'leaves its folder'
    """
    if not name or len(name) > NAME_LENGTH:
        return f"has {len(name)} characters, which must be 1 to {NAME_LENGTH}"
    if not name.isprintable():
        return "has control characters"
    if "\\" in name or ":" in name:
        return "has a backslash or a colon"
    if name.startswith("/"):
        return "is an absolute path"
    # Windows drops trailing dots and spaces, so ".. " is ".." there.
    if any(not part.strip(" .") for part in name.split("/")):
        return "leaves its folder" if ".." in name else "is not a plain relative name"
    return None


def read_index(path: Path) -> Index:
    """Read and check an index file.

    Args:
        path: a `*.safetensors.index.json`.

    Errors:
        CheckpointError: too large, not JSON, or a name in it that is not safe to open.

    Example:
        >>> import json, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors.index.json"
        >>> _ = path.write_text(json.dumps({"weight_map": {"weight": "model-1.safetensors"}}))
        >>> read_index(path).files
        ('model-1.safetensors',)
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > INDEX_BYTES:
            raise CheckpointError(
                f"has {size} bytes, over the limit of {INDEX_BYTES} for an index", file=path
            )
        raw = file.read(size)  # no more: room for all that is asked for is taken first
    table = strict_json(raw, path, 2 * INDEX_TENSORS)
    weight_map = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            "must name the file of each tensor in an object", file=path, field="weight_map"
        )
    if len(weight_map) > INDEX_TENSORS:
        raise CheckpointError(
            f"names {len(weight_map)} tensors, over the limit of {INDEX_TENSORS}", file=path
        )
    for tensor, name in weight_map.items():
        if len(tensor) > NAME_LENGTH:
            raise CheckpointError(
                f"its name has over {NAME_LENGTH} characters", file=path, tensor=tensor
            )
        if not isinstance(name, str):
            raise CheckpointError(
                f"its file must be a name, not {printable(name)}", file=path, tensor=tensor
            )
    files = tuple(sorted(set(weight_map.values())))
    if len(files) > INDEX_FILES:
        raise CheckpointError(
            f"names {len(files)} files, over the limit of {INDEX_FILES}", file=path
        )
    for name in files:
        reason = unsafe_name(name)
        if reason is None and not name.endswith(".safetensors"):
            reason = "is not a .safetensors file"
        if reason:
            tensor = next(tensor for tensor, home in weight_map.items() if home == name)
            raise CheckpointError(
                f'the file "{printable(name)}" it is said to be in {reason}',
                file=path,
                tensor=tensor,
                hint="an index may only name safetensors files beside it",
            )
    return Index(weight_map, files, _total(table.get("metadata"), path))


def _total(metadata: Any, path: Path) -> int | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise CheckpointError("must be an object", file=path, field="metadata")
    total = metadata.get("total_size")
    if isinstance(total, float) and total.is_integer():  # as some older tools wrote it
        total = int(total)
    if total is not None and (type(total) is not int or total < 0):
        raise CheckpointError(
            f"must be a number of bytes, not {printable(total)}",
            file=path,
            field="metadata.total_size",
        )
    return total
