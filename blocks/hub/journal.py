"""A save in place that was interrupted: the journal that readers follow and the next save ends.

Where two folders can't be exchanged, a save puts its files one by one beside the user's own. The
whole new checkpoint lies in the folder NEXT first, and the moment NEXT has its name it is the one
that counts: a file is looked for there, then beside it, and an older one that has no successor is
not seen. The journal is the last that goes.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.errors import CheckpointError, ConfigError, printable
from blocks.hub.config import read_json
from blocks.hub.durable import Stamp, stamp, sync_folder, write_file
from blocks.hub.index import unsafe_name

NEXT = ".blocks-next"
_NAME = "journal.json"
_LIMIT = 16 << 20  # bytes
_KEEP = "remove this folder to keep the files beside it"


@dataclass(frozen=True)
class Journal:
    """What a save in place sets out to do in `folder`.

    Attributes:
        folder: the checkpoint's folder.
        after: the files it shall hold, in the order they are put there, with their stamps.
        before: the stamps of those that are replaced or go.
    """

    folder: Path
    after: dict[str, Stamp]
    before: dict[str, Stamp]

    def places(self, name: str) -> tuple[Path, ...]:
        """Where a file of the new checkpoint may lie, in that order; none for one that goes."""
        if name in self.after:
            return self.folder / NEXT / name, self.folder / name
        return () if name in self.before else (self.folder / name,)

    def check(self) -> None:
        """Refuse a folder that somebody else has written to since the save was interrupted."""
        for name in {**self.after, **self.before}:
            waiting, found = stamp(self.folder / NEXT / name), stamp(self.folder / name)
            old, new = self.before.get(name), self.after.get(name)
            if new is None or waiting is not None:
                sound = found in (None, old, new) and waiting == new
            else:
                sound = found == new
            if not sound:
                raise CheckpointError(
                    f"holds a save that was interrupted, after which {printable(name)} was changed",
                    file=self.folder / NEXT,
                    hint=_KEEP,
                )


def read_journal(folder: Path) -> Journal | None:
    """The journal of a folder, checked; None where no save was interrupted."""
    path = folder / NEXT / _NAME
    if path.parent.is_symlink() or not path.is_file():
        return None
    try:
        data = read_json(path, _LIMIT)
    except ConfigError as error:
        if not path.exists():  # the save has just come to its end
            return None
        raise CheckpointError(error.reason, file=path, hint=_KEEP) from None
    journal = Journal(folder, _stamps(data, "after", path), _stamps(data, "before", path))
    journal.check()
    return journal


def _stamps(data: dict[str, Any], field: str, path: Path) -> dict[str, Stamp]:
    found = data.get(field)
    if not isinstance(found, dict):
        raise CheckpointError("must be an object", file=path, field=field, hint=_KEEP)
    for name, pair in found.items():
        sound = isinstance(pair, list) and len(pair) == 2 and {type(n) for n in pair} == {int}
        if not sound or unsafe_name(name) or name.startswith(NEXT):
            raise CheckpointError("is not what a save writes", file=path, field=field, hint=_KEEP)
    return {name: (pair[0], pair[1]) for name, pair in found.items()}


def commit(new: Path, folder: Path, names: list[str], going: list[str]) -> None:
    """Makes `new`, a whole checkpoint, the one that counts in `folder`, and puts it in place.

    Args:
        new: a folder of the same file system.
        folder: where the checkpoint shall be.
        names: its files, in the order they are put in place.
        going: names of older files that have no successor.
    """
    for name in (*names, *going):
        _check_room(folder / name, folder)
    old = {name: stamp(folder / name) for name in (*names, *going)}
    data = {"after": {name: stamp(new / name) for name in names}}
    data["before"] = {name: found for name, found in old.items() if found}
    write_file(new / _NAME, [json.dumps(data).encode()])
    sync_folder(new)
    os.rename(new, folder / NEXT)
    sync_folder(folder)
    install(Journal(folder, data["after"], data["before"]))  # pyright: ignore[reportArgumentType]  # every new file has a stamp


def install(journal: Journal) -> None:
    """Puts the files of NEXT in their places; may be interrupted and done again."""
    folder = journal.folder
    waiting = folder / NEXT
    touched = {folder}
    for name in journal.after:
        if os.path.lexists(waiting / name):
            place = folder / name
            _check_room(place, folder)
            if place.parent not in touched:
                os.makedirs(place.parent, exist_ok=True)
                touched.add(place.parent)
            os.replace(waiting / name, place)
    for name in journal.before:
        if name not in journal.after and os.path.lexists(folder / name):
            os.unlink(folder / name)
    for place in sorted(touched, reverse=True):
        sync_folder(place)
    os.unlink(waiting / _NAME)
    for place, _, _ in os.walk(waiting, topdown=False):
        os.rmdir(place)


def _check_room(place: Path, folder: Path) -> None:
    """A file's place must be free of folders, and no link may lead to it."""
    if place.is_dir() and not place.is_symlink():
        raise IsADirectoryError(errno.EISDIR, f"{place.name} is a folder")
    for above in place.parents[: len(place.parts) - len(folder.parts) - 1]:
        if os.path.lexists(above) and (above.is_symlink() or not above.is_dir()):
            raise NotADirectoryError(errno.ENOTDIR, f"{above.name} is no folder of its own")
