"""Writing a checkpoint: all of it beside the target first, then one exchange of names."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from blocks.errors import CheckpointError
from blocks.hub.checksums import NAME as CHECKSUMS
from blocks.hub.checksums import known_sums
from blocks.hub.config import without_infinity
from blocks.hub.durable import exchange, locked, sync_folder, write_file
from blocks.hub.journal import NEXT, commit, install, read_journal
from blocks.hub.staging import carry, is_part, may_be_exchanged, staged

# In the order in which files are put in place where folders can't be exchanged: shards, which
# nothing names yet, then what reads them.
_LAST = ("config.json", "model.safetensors.index.json", "model.safetensors", CHECKSUMS)


class Draft:
    """A checkpoint that is being written, file by file.

    Attributes:
        folder: where it is until it takes its place.
        mark: what new shards have in their names, so that older ones can stay meanwhile.
        sums: the SHA-256 of each file.
    """

    def __init__(self, folder: Path, mark: str = ""):
        self.folder = folder
        self.mark = mark
        self.sums: dict[str, str] = {}

    def add(self, name: str, parts: Iterable[bytes | memoryview]) -> None:
        """Writes a file to the disk, in parts that are hashed meanwhile."""
        digest = hashlib.sha256()
        if (self.folder / name).parent != self.folder:
            os.makedirs((self.folder / name).parent, exist_ok=True)
        data = list(parts)
        with _meanwhile(lambda: [digest.update(part) for part in data]):
            write_file(self.folder / name, data)
        self.sums[name] = digest.hexdigest()

    def json(self, name: str, data: Mapping[str, Any] | list[Any]) -> None:
        """JSON as people and tools like to read it."""
        finite = without_infinity(data)
        text = json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False)
        self.add(name, [(text + "\n").encode()])


@contextmanager
def _meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Work that is done in a thread until the block ends."""
    thread = Thread(target=work)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is about to end: there are no new threads
        work()
        yield
        return
    try:
        yield
    finally:
        thread.join()


@contextmanager
def writing(
    folder: str | os.PathLike[str], replaces: Collection[str] = (), *, model: bool = True
) -> Iterator[Draft]:
    """A draft of a checkpoint, which takes the place of the one in `folder` at the end.

    Whoever looks at the folder sees the older checkpoint or the new one, whole, also after a crash
    or a power cut at any moment. Files that are no part of a checkpoint stay where they are. After
    an error the older checkpoint is as it was. What a save that was killed has left is removed
    by the next one.

    Args:
        folder: where to; made if need be.
        replaces: names of files beside a model's that go if they aren't written anew.
        model: with False, the draft is of these files alone, and a model in the folder stays.
    """
    target = _real(folder)
    try:
        if target.exists() and not target.is_dir():
            raise CheckpointError("can't be written: it is a file, not a folder", file=target)
        _make(target.parent)
        _finish(target)
        with staged(target, replaces, model) as (new, whole):
            draft = Draft(new, "" if whole else f"-{secrets.token_hex(4)}")
            yield draft
            with locked(target.parent):  # one save after the other
                _publish(draft, target, whole, replaces, model)
    except OSError as error:
        raise _unwritable(target, error) from error


def put_files(
    folder: str | os.PathLike[str], files: Mapping[str, bytes], replaces: Collection[str]
) -> None:
    """Puts files beside a model, all at once; those that they replace go."""
    with writing(folder, replaces, model=False) as draft:
        for name, text in files.items():
            draft.add(name, [text])


def _real(folder: str | os.PathLike[str]) -> Path:
    try:
        if not os.fspath(folder):
            raise ValueError("it is empty")  # and would mean the folder one is in
        return Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # a circle of links, a NUL
        raise CheckpointError(f"is no path: {error}", file=str(folder), field="folder") from None


def _unwritable(target: Path, error: OSError) -> CheckpointError:
    reason = error.strerror or str(error)
    if os.path.exists(target / NEXT):
        return CheckpointError(
            f"is saved in {NEXT}, but not all could be put in place: {reason}",
            file=target,
            hint="save again; meanwhile blocks reads it, and other tools may not",
        )
    return CheckpointError(f"can't be written: {reason}", file=target)


def _make(place: Path) -> None:
    """A folder and those above it, so that none is lost in a power cut."""
    for folder in reversed([p for p in (place, *place.parents) if not p.exists()]):
        try:
            os.mkdir(folder)
        except FileExistsError:  # another process was quicker
            continue
        sync_folder(folder.parent)


def _finish(target: Path) -> None:
    """Ends a save in place that was interrupted."""
    waiting = target / NEXT
    if waiting.is_dir() and not waiting.is_symlink():
        with locked(target.parent):
            if journal := read_journal(target):
                install(journal)
            for place, _, _ in os.walk(waiting, topdown=False):
                os.rmdir(place)


def _publish(
    draft: Draft, target: Path, whole: bool, replaces: Collection[str], model: bool
) -> None:
    new = draft.folder
    older = sorted(os.listdir(target)) if target.exists() else []
    older += [name for name in replaces if "/" in name and (target / name).is_file()]
    going = [n for n in older if n not in draft.sums and (n in replaces or (model and is_part(n)))]
    stay = {n: s for n, s in known_sums(target).items() if n not in going}
    if model or stay:
        draft.json(CHECKSUMS, dict(sorted({**stay, **draft.sums}.items())))
    for place, _, _ in os.walk(new, topdown=False):
        sync_folder(Path(place))
    if not target.exists():
        os.rename(new, target)
    elif not (whole and _exchanged(new, target, replaces)):
        for name in {*os.listdir(new)} - {name.partition("/")[0] for name in draft.sums}:
            os.unlink(new / name)  # a link, for an exchange that can't be any more
        names = sorted(draft.sums, key=lambda name: (name in _LAST and 1 + _LAST.index(name), name))
        commit(new, target, names, going)
    sync_folder(target.parent)


def _exchanged(new: Path, target: Path, replaces: Collection[str]) -> bool:
    if not (may_be_exchanged(target) and carry(target, new, replaces)):
        return False
    os.chmod(new, target.stat().st_mode & 0o7777)
    sync_folder(new)
    try:
        exchange(new, target)
    except OSError:
        return False
    return True
