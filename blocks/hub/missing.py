"""A path at which there is nothing: what to say of it, and whether it can mean a repository."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from blocks.errors import HubError, nearest, printable

__all__: list[str] = []

_FILES = (".gguf", ".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5")
_LISTED = 2_000  # names of a folder that are looked through


def is_local(given: object, revision: str | None) -> bool:
    """Whether a path that leads nowhere can mean nothing on the Hub.

    Names of repositories and of files look alike. What ends as files do is one, unless a revision
    is asked of it, or what stands before it may be a repository.
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else ""
    if not isinstance(given, str) or text[:1] in (".", "/", "~") or "\\" in text:
        return True
    if not text.lower().endswith(_FILES) or revision is not None:
        return False
    return text.count("/") < 2 or Path(text).parent.is_dir()


def not_there(text: str) -> HubError:
    """The error of a path at which there is nothing, with the names nearest to it."""
    path = Path(text).expanduser()
    is_file = path.suffix.lower() in _FILES
    return HubError(
        "there is no such file" if is_file else "is not a folder", file=text, hint=_hint(path)
    )


def beside(text: str) -> str:
    """The words of a hint: folders here whose names are like that of a repository."""
    near = _near(Path(text).expanduser())
    return f"; near it on this machine: {near}" if near else ""


def _hint(path: Path) -> str:
    """What there is instead: names beside it, or the first folder on the way that is missing."""
    folder = path.parent
    if not _is_dir(folder):
        while not _is_dir(folder.parent) and folder != folder.parent:
            folder = folder.parent
        near = _near(folder)
        return f"there is no folder {printable(folder)}" + (f"; near: {near}" if near else "")
    if near := _near(path):
        return f"near: {near}"
    names = [name for name in _names(folder) if name.lower().endswith(path.suffix.lower() or "/")]
    if path.suffix and names:
        return f"{printable(folder)} holds {', '.join(map(printable, sorted(names)[:3]))}"
    return "check the path"


def _near(path: Path) -> str:
    near = nearest(path.name, _names(path.parent), 3)
    return ", ".join(printable(path.parent / name) for name in near)


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [entry.name for entry in islice(found, _LISTED)]
    except OSError:
        return []


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
