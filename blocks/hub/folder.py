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

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from blocks.errors import CheckpointError, printable
from blocks.hub.config import without_infinity
from blocks.hub.progress import progress

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
    target = Path(folder).expanduser().resolve()
    if target.exists() and not target.is_dir():
        raise CheckpointError("is a file, not a folder", file=target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield fresh
        fresh.chmod(0o755)
        _exchange(fresh, target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unwritable(target: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"can't be written: {getattr(error, 'strerror', None) or printable(error)}", file=target
    )


def _exchange(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    _keep_others(target, fresh)
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    try:
        target.rename(old / "was")  # open maps of its files stay valid
        try:
            fresh.rename(target)
        except BaseException:
            (old / "was").rename(target)
            raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _keep_others(old: Path, fresh: Path) -> None:
    """What lies in an older folder and is no part of a checkpoint, linked into the new one."""
    for path in old.iterdir():
        place = fresh / path.name
        if ".safetensors" in path.name or place.exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, place, symlinks=True, copy_function=_link)
        else:
            _link(path, place)


def _link(path: str | Path, place: str | Path) -> None:
    try:
        os.link(path, place, follow_symlinks=False)
    except OSError:  # not every file system has links
        shutil.copy2(path, place, follow_symlinks=False)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """JSON as people and tools like to read it."""
    finite = without_infinity(data)
    text = json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


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
    for file, members in progress(list(zip(names, shards, strict=True)), "saving"):
        tensors = {name: parts[name][1]().detach().cpu().contiguous() for name in members}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(_usual_mode(folder))
    if count > 1:
        index = {
            "metadata": {"total_size": sum(nbytes for nbytes, _ in parts.values())},
            "weight_map": {n: f for f, ms in zip(names, shards, strict=True) for n in ms},
        }
        write_json(folder / "model.safetensors.index.json", index)


def _usual_mode(folder: Path) -> int:
    """The permissions of new files here: safetensors writes its own for the owner alone."""
    probe = folder / ".probe"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    return mode
