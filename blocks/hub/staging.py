"""Where a checkpoint is written before it takes its place, and what becomes of the older one."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blocks.hub.durable import exchange, locked, write_file
from blocks.text.tokenfiles import NAMES as TOKENIZER

WEIGHTS = re.compile(
    r"(model|diffusion_pytorch_model)((-[0-9a-f]{8})?-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?"
)
PARTS = ("config.json", "generation_config.json", "modules.json", "sha256.json")
POOLING = ("1_Pooling/config.json", "2_Normalize/config.json")
_PREFIX = ".blocks-saving-"


def is_part(name: str, more: Collection[str] = ()) -> bool:
    """Whether a file is replaced, or goes, when another checkpoint is saved to its folder."""
    return name in PARTS or name in more or WEIGHTS.fullmatch(name) is not None


@contextmanager
def staged(target: Path, replaces: Collection[str], model: bool) -> Iterator[tuple[Path, bool]]:
    """A folder to write to, and whether it may be exchanged with `target` as a whole.

    It lies beside the target if that can be exchanged or isn't there yet, else in it.
    Only the whole of a model is exchanged.
    """
    _sweep(target.parent, target)
    with ExitStack() as stack:
        room, whole = None, not target.exists()
        if not whole:
            _sweep(target, target)
        if whole or (model and may_be_exchanged(target)):
            try:
                room = stack.enter_context(_room(target.parent, target))
                whole = whole or _can_be_exchanged(target, room, replaces)
            except OSError:  # a parent that only others may write to
                if whole:
                    raise
        if not whole or room is None:
            room = stack.enter_context(_room(target, target))
        yield room / "new", whole


def may_be_exchanged(target: Path) -> bool:
    """Whether a folder holds nothing but files, and is none that somebody stands in or mounted."""
    there, above = os.stat(target), os.stat(target.parent)
    if there.st_dev != above.st_dev or there.st_uid != getattr(os, "geteuid", lambda: -1)():
        return False
    with suppress(OSError):  # the current folder may be gone
        if os.path.samestat(there, os.stat(os.curdir)):
            return False
    with os.scandir(target) as found:
        return all(entry.is_file(follow_symlinks=False) for entry in found)


def _can_be_exchanged(target: Path, room: Path, replaces: Collection[str]) -> bool:
    """Tried with two empty folders, and with links of the files that shall stay."""
    if os.stat(room / "new").st_gid != os.stat(target).st_gid or _has_own_rights(target):
        return False
    probe = target / room.name
    os.mkdir(room / "probe")
    try:
        os.mkdir(probe)
        try:
            exchange(room / "probe", probe)
        finally:
            os.rmdir(probe)
    except OSError:
        return False
    finally:
        os.rmdir(room / "probe")
    return carry(target, room / "new", replaces)


def _has_own_rights(folder: Path) -> bool:
    """Whether a folder has what a new one in its place would lose: access lists and the like."""
    names: list[str] = []
    with suppress(OSError, AttributeError):
        names = os.listxattr(folder)
    return any(name.startswith(("system.", "user.")) for name in names)


def carry(old: Path, new: Path, replaces: Collection[str]) -> bool:
    """Makes `new` hold links of all files of `old` that stay; False where that can't be."""
    there = os.listdir(old)
    for name in {*os.listdir(new), *there}:
        if is_part(name, replaces):
            continue
        try:
            if os.path.lexists(new / name):
                if name in there and os.path.samefile(old / name, new / name):
                    continue
                os.unlink(new / name)
            if name in there:
                os.link(old / name, new / name, follow_symlinks=False)
        except OSError:
            return False
    return True


@contextmanager
def _room(place: Path, target: Path) -> Iterator[Path]:
    """A folder in `place` whose lock says that its process lives."""
    room = place / f"{_prefix(target)}{secrets.token_hex(4)}"
    with ExitStack() as stack:
        stack.callback(_discard, room, target)
        with locked(place):  # so that nobody sweeps before our lock is there
            os.mkdir(room, 0o700)
            write_file(room / "lock", [])
            stack.enter_context(locked(room / "lock", wait=False))
        os.mkdir(room / "new")
        yield room


def _prefix(target: Path) -> str:
    return f"{_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"


def _sweep(place: Path, target: Path) -> None:
    """Removes what saves to `target` that were killed have left in `place`."""
    with suppress(OSError), locked(place) as alone:
        for name in os.listdir(place) if alone else ():
            room = place / name
            if not name.startswith(_prefix(target)) or room.is_symlink() or not room.is_dir():
                continue
            with suppress(FileNotFoundError), locked(room / "lock", wait=False) as dead:
                if dead:
                    _discard(room, target)
            with suppress(OSError):  # killed before it had a lock: empty
                os.rmdir(room)


def _discard(room: Path, target: Path) -> None:
    """Removes a room with all that was written to it.

    After an exchange it holds the older checkpoint. What somebody else put there in that very
    moment has no other name: it goes back to its folder and is never removed.
    """
    new = room / "new"
    with suppress(OSError):
        for name in os.listdir(new):
            if not _is_spare(new, name) and not os.path.lexists(target / name):
                os.rename(new / name, target / name)
        for place, _, names in os.walk(new, topdown=False):
            for name in names:
                if _is_spare(new, Path(place, name).relative_to(new).as_posix()):
                    os.unlink(Path(place, name))
            os.rmdir(place)
    with suppress(OSError):
        os.rmdir(room / "probe")
    with suppress(OSError):
        if not new.exists():
            os.unlink(room / "lock")
            os.rmdir(room)


def _is_spare(new: Path, name: str) -> bool:
    """Whether a file or folder of a room is a checkpoint's, or has another name elsewhere."""
    ours = (*TOKENIZER, *POOLING, "journal.json")
    if is_part(name, ours) or any(path.startswith(f"{name}/") for path in ours):
        return True
    info = os.lstat(new / name)
    return not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1
