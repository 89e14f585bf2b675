"""Writing a checkpoint: all of it beside the target first, then one exchange of names."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from blocks.errors import CheckpointError

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def read_size(size: int | str) -> int:
    """Bytes of "5GB", "300MB" or a number of bytes."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    if isinstance(size, str) and size[-2:].upper() in _UNITS and size[:-2].strip().isdecimal():
        return int(size[:-2]) * _UNITS[size[-2:].upper()]
    raise CheckpointError(
        f"{size!r} is not a size", field="max_shard_size", hint='such as "5GB" or 300_000_000'
    )


@contextmanager
def writing(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A fresh folder to write a checkpoint into; it takes the place of `folder` at the end.

    Other files of an older `folder` are kept, its weights are not. After an error the older
    folder is as it was and nothing is left beside it.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists() and not target.is_dir():
        raise CheckpointError("is a file, not a folder", file=target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise CheckpointError(f"can't be written: {error.strerror}", file=target) from error
    try:
        yield fresh
        fresh.chmod(0o755)
        _exchange(fresh, target)
    except OSError as error:
        raise CheckpointError(f"can't be written: {error.strerror}", file=target) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.rename(old / "was")  # open maps of its files stay valid
    fresh.rename(target)
    for path in (old / "was").iterdir():
        weights = ".safetensors" in path.name
        if not weights and not (target / path.name).exists():
            path.rename(target / path.name)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """JSON as people and tools like to read it."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def write_tensors(
    folder: Path, parts: Mapping[str, tuple[int, Callable[[], Tensor]]], largest: int
) -> None:
    """safetensors in one file, or in shards with an index.

    Args:
        folder: where to.
        parts: name -> (bytes, how to get the tensor), so that joined tensors exist one shard long.
        largest: bytes of a shard.
    """
    shards: list[list[str]] = [[]]
    room = largest
    for name, (nbytes, _) in parts.items():
        if nbytes > room and shards[-1]:
            shards.append([])
            room = largest
        shards[-1].append(name)
        room -= nbytes
    count = len(shards)
    names = ["model.safetensors"]
    if count > 1:
        names = [f"model-{n + 1:05}-of-{count:05}.safetensors" for n in range(count)]
    for file, members in tqdm(
        list(zip(names, shards, strict=True)), "saving", disable=count < 2 or None, leave=False
    ):
        tensors = {name: parts[name][1]().detach().cpu().contiguous() for name in members}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if count > 1:
        index = {
            "metadata": {"total_size": sum(nbytes for nbytes, _ in parts.values())},
            "weight_map": {n: f for f, ms in zip(names, shards, strict=True) for n in ms},
        }
        write_json(folder / "model.safetensors.index.json", index)
