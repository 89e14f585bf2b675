"""Checksums: every file of a checkpoint against what it was when it was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from blocks.errors import CheckpointError
from blocks.hub.config import read_json
from blocks.hub.progress import progress

NAME = "sha256.json"  # file name -> SHA-256, in folders that this library writes
_STEP = 1 << 22


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_STEP):
            digest.update(part)
    return digest.hexdigest()


def folder_checksums(folder: Path) -> dict[str, str]:
    """The checksums of all files of a folder."""
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != NAME}


def verify_files(paths: list[Path]) -> None:
    """Compares files with the checksums beside them, or with their names in the Hub's cache.

    Errors:
        CheckpointError: a file has changed, or nothing tells what it should be.
    """
    for path in progress(paths, "verifying"):
        beside = path.parent / NAME
        told = read_json(beside).get(path.name) if beside.is_file() else _blob(path)
        if told is None:
            raise CheckpointError(
                "has no checksum to be compared with",
                file=path,
                hint="folders written by save_pretrained and export, and the Hub's cache, have one",
            )
        found = sha256(path)
        if found != told:
            raise CheckpointError(
                f"has the SHA-256 {found[:16]}…, not {str(told)[:16]}…: it has changed",
                file=path,
                hint="download or save it again",
            )


def _blob(path: Path) -> str | None:
    """Large files in the Hub's cache are named by their SHA-256."""
    name = path.resolve().name
    return name if path.is_symlink() and len(name) == 64 else None
