"""Checksums: every file of a checkpoint against what it was when it was written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.errors import BlocksError, CheckpointError, printable
from blocks.hub.config import read_json
from blocks.hub.headers import open_regular
from blocks.hub.index import unsafe_name
from blocks.hub.progress import progress
from blocks.hub.staging import PARTS, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from blocks.hub.source import Source

__all__ = ["verify"]

NAME = "sha256.json"  # file name -> SHA-256, in folders that this library writes
_LIMIT = 4 << 20  # bytes of it
_STEP = 1 << 22
_DIGEST = re.compile("[0-9a-f]{64}")
_BLOB = re.compile("[0-9a-f]{64}|[0-9a-f]{40}")


def verify(
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> tuple[str, ...]:
    """Compares every file of a checkpoint with its SHA-256; nothing is built.

    In a folder that `save_pretrained` or `export` wrote, with sha256.json; in the Hub's cache,
    with the names the Hub gave its files. It finds what no reader can see: a flipped bit, a shard
    of an older save, two tensors of one shape that have changed places. It says nothing about
    whether the publisher is to be trusted.

    Args:
        repo_or_dir, revision, token, cache_dir, local_files_only: as in `from_pretrained`.

    Returns:
        The names of the files that were compared.

    Errors:
        HubError: no such folder, repository or revision.
        CheckpointError: files that have changed, are missing or don't belong there, all at once;
            or nothing tells what they should be.

    Example:
        >>> import blocks, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> blocks.save_pretrained(blocks.from_pretrained(blocks.packaged()), folder)
        >>> "model.safetensors" in verify(folder)
        True
    """
    from blocks.hub.checkpoint import weight_files
    from blocks.hub.source import resolve

    options = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    source = resolve(repo_or_dir, revision=revision, **options)  # pyright: ignore[reportArgumentType]  # the options of verify
    return verify_source(source, weight_files(source))


def verify_source(source: Source, weights: tuple[str, ...]) -> tuple[str, ...]:
    """`verify` for a place that is already resolved, whose weights are in these files."""
    if source.commit is None:
        told, wrong = _told(source, weights)
    else:
        names = (*PARTS, *TOKENIZER, *weights)
        found = {name: source.find(name, assume_absent=True) for name in names if name != NAME}
        told = {name: (path, _blob(path)) for name, path in found.items() if path}
        wrong = [(name, "has no checksum") for name, (_, sum) in told.items() if sum is None]
    wrong += _differing({n: (path, sum) for n, (path, sum) in told.items() if sum})
    if wrong:
        each = [f"{printable(name, 80)} {what}" for name, what in wrong]
        more = [f"and {len(each) - 8} more"] if len(each) > 8 else []
        raise CheckpointError(
            f"is not what was saved: {'; '.join([*each[:8], *more])}",
            file=f"{source.name}/{wrong[0][0]}",
            hint="download or save it again",
        )
    return tuple(told)


def _told(
    source: Source, weights: tuple[str, ...]
) -> tuple[dict[str, tuple[Path, str]], list[tuple[str, str]]]:
    """The files that sha256.json names, and what is wrong before one is read."""
    beside = source.find(NAME)
    if beside is None:
        raise CheckpointError(
            f"has no {NAME} to be compared with",
            file=source.name,
            hint="folders written by save_pretrained and export have one, and the Hub's cache",
        )
    told: dict[str, tuple[Path, str]] = {}
    wrong: list[tuple[str, str]] = []
    for name, sum in read_json(beside, _LIMIT).items():
        if unsafe_name(name) or not isinstance(sum, str) or not _DIGEST.fullmatch(sum):
            raise CheckpointError(
                "is not what a save writes", file=beside, field=printable(name), hint="save again"
            )
        path = source.find(name)
        if path is None:
            wrong.append((name, "is missing"))
        else:
            told[name] = (path, sum)
    there = [name for name in source.files() or () if WEIGHTS.fullmatch(name) or name in PARTS]
    named = {*told, *(name for name, _ in wrong), NAME}
    extra = dict.fromkeys([*weights, *(name for name in there if source.has(name))])
    wrong += [(name, "was not saved with it") for name in extra if name not in named]
    return told, wrong


def _differing(told: Mapping[str, tuple[Path, str]]) -> list[tuple[str, str]]:
    """Files that aren't what they should be; several are read at once."""
    wrong = []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        sums = {name: pool.submit(_sum, path, len(sum)) for name, (path, sum) in told.items()}
        for name in progress(list(sums), "verifying"):
            found, wanted = sums[name].result(), told[name][1]
            if found != wanted:
                wrong.append((name, f"has the checksum {found[:16]}…, not {wanted[:16]}…"))
    return wrong


def _sum(path: Path, digits: int) -> str:
    """The SHA-256 of a file, or git's SHA-1 by which the Hub names small ones."""
    with open_regular(path) as file:
        digest = hashlib.sha256()
        if digits == 40:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while part := file.read(_STEP):
            digest.update(part)
    return digest.hexdigest()


def _blob(path: Path) -> str | None:
    """The checksum by which the Hub's cache names a file."""
    name = path.resolve().name
    return name if path.is_symlink() and _BLOB.fullmatch(name) else None


def known_sums(folder: Path) -> dict[str, str]:
    """The checksums of the files that a folder's sha256.json names and that are still there."""
    try:
        told = read_json(folder / NAME, _LIMIT) if (folder / NAME).is_file() else {}
    except BlocksError:  # it is about to be replaced
        return {}
    return {
        name: sum
        for name, sum in told.items()
        if isinstance(sum, str)
        and _DIGEST.fullmatch(sum)
        and not unsafe_name(name)
        and (folder / name).is_file()
    }
