"""Where a model's files come from: a folder, or a Hub repository at one commit."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.errors import BlocksError, CheckpointError, HubError, printable
from blocks.hub.headers import Header, read_header, read_part
from blocks.hub.index import unsafe_name
from blocks.hub.journal import Journal, read_journal
from blocks.hub.missing import beside, is_local, not_there

if TYPE_CHECKING:
    from blocks.hub.foreign import Foreign

COMMIT = re.compile(r"[0-9a-f]{40}")
REPO_ID = re.compile(r"\w(?:[\w.-]{0,94}\w)?(?:/\w(?:[\w.-]{0,94}\w)?)?", re.ASCII)
SHARED_BLOB = re.compile(r"[0-9a-f]{64}")
GGUF = ".gguf"
LISTED = 10_000  # names of a folder's files that are looked through


def resolve(
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Source:
    """Find a folder, or settle a Hub repository on one commit.

    A path that exists is a folder or a GGUF file, and then nothing is asked of the network. All
    that a Hub source hands out is of the commit that `revision` names at this moment.

    Args:
        repo_or_dir: a folder, or a repository's id such as "org/name"; or a GGUF file, in a folder
            or as "org/name/file.gguf".
        revision: a branch, tag, pull request ("refs/pr/7") or commit; the main branch if None.
        token: as in the Hub client: a token, True for the saved one, False for none.
        cache_dir: where downloads are kept; the Hub client's own cache if None.
        local_files_only: take everything from the cache.
        force_download: fetch every file once more.

    Errors:
        HubError: there is no such folder, repository or revision, or it can't be reached.

    Example:
        >>> import tempfile
        >>> resolve(tempfile.mkdtemp()).files()
        []
    """
    text = os.fspath(repo_or_dir) if isinstance(repo_or_dir, (str, os.PathLike)) else None
    if not isinstance(text, str):
        kind = type(repo_or_dir).__name__
        raise HubError(f"must be a folder or a repository's id, not {kind}", field="repo_or_dir")
    path = Path(text).expanduser()
    if text and path.is_dir():
        return Folder(name=text, commit=None, folder=path, journal=read_journal(path))
    if path.suffix == ".safetensors" and path.is_file():
        raise HubError(
            "is a file", file=text, hint="give the folder it is in, with its config.json"
        )
    if path.is_file():
        if path.suffix != GGUF:
            raise HubError("is a file, not a folder with a model", file=text)
        return _gguf(Folder(str(path.parent), None, path.parent), path.name)
    if "://" in text:
        raise HubError("is an address", file=text, hint='give the repository as "org/name"')
    if is_local(repo_or_dir, revision):
        raise not_there(text)
    repo, file = _repo_and_file(text)
    if not is_repo_id(repo):
        raise HubError(
            "is neither a folder nor a repository's id",
            file=text or '""',
            hint='an id is "org/name": letters, digits and . - _' + beside(text),
        )
    if force_download and local_files_only:
        raise HubError("contradicts local_files_only", field="force_download")
    from blocks.hub.repo import settle  # the Hub client is not imported for a folder

    place = settle(repo, revision, token, cache_dir, force=force_download, local=local_files_only)
    return _gguf(place, file) if file else place


def _repo_and_file(text: str) -> tuple[str, str]:
    """A repository's id, and the GGUF file in it that a longer text names: "org/name/file.gguf"."""
    org, _, rest = text.partition("/")
    name, _, file = rest.partition("/")
    return (f"{org}/{name}", file) if file.endswith(GGUF) else (text, "")


def _gguf(place: Source, file: str) -> Source:
    from blocks.hub.gguf.place import gguf  # which is built on this

    return gguf(place, file)


@dataclass
class Source(ABC):
    """A place with a model's files.

    Attributes:
        name: as shown to users.
        commit: what a Hub source was resolved to, None for a folder.
        folder: the folder, None for a Hub source.
        seen: bytes, time and inode of the files that were handed out.
    """

    name: str
    commit: str | None
    folder: Path | None
    seen: dict[Path, tuple[int, int, int] | None] = field(
        default_factory=dict, kw_only=True, repr=False
    )

    @property
    def foreign(self) -> Foreign | None:
        """The place in its own format's terms, where it holds no config.json and safetensors."""
        return None

    @abstractmethod
    def find(self, filename: str, *, assume_absent: bool = False) -> Path | None:
        """The path of a file, fetched if need be; None if the source has no such file.

        Offline, a file of which the cache knows nothing is an error, unless it may be taken for
        absent. A name or link that leaves the source is always an error.
        """

    def need(self, filename: str, hint: str | None = None) -> Path:
        """The path of a file that must be there, else a HubError with `hint`."""
        if (path := self.find(filename)) is None:
            raise HubError(f"has no {printable(filename)}", file=self.name, hint=hint)
        return path

    def handed(self, path: Path) -> Path:
        """The path of a file that is about to be read, which is remembered as it is now."""
        self.seen.setdefault(path, _state(path))
        return path

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Refuses files that are written to, or replaced, between their check and their use.

        Where that has led to another error, this one is the reason.
        """
        try:
            yield
        except BlocksError:
            self._check_unchanged()
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        for path, before in self.seen.items():
            if _state(path) != before or before is None:
                reason = "was changed while it was being read"
                raise CheckpointError(reason, file=path, hint="load it again")

    @abstractmethod
    def has(self, filename: str) -> bool:
        """Whether the source has a file, without fetching it."""

    @abstractmethod
    def files(self) -> list[str] | None:
        """The names of all files, sorted; None where they can't be known."""

    @abstractmethod
    def header(self, filename: str, expected: int | None = None) -> Header | None:
        """A safetensors header of `expected` bytes, without its file; None if not at hand."""

    @abstractmethod
    def part(self, filename: str, start: int, end: int) -> tuple[bytes, int] | None:
        """Bytes of a file, fewer if it ends before, and its size; None if it is not at hand."""

    @abstractmethod
    def safe_revisions(self) -> list[str]:
        """Pull requests of the repository that hold safetensors."""


@dataclass
class Folder(Source):
    """A folder on disk: no network, and nothing outside it is opened.

    Attributes:
        journal: what a save that was interrupted has left to do.
    """

    journal: Journal | None = None

    def find(self, filename: str, *, assume_absent: bool = False) -> Path | None:
        del assume_absent  # a folder always knows
        check_name(filename, self.name)
        assert self.folder is not None
        places = self.journal.places(filename) if self.journal else (self.folder / filename,)
        for path in filter(os.path.lexists, places):
            try:
                check_inside(self.folder, path)
            except HubError:
                if os.path.lexists(path):
                    raise
                continue  # a save has just put it in its place
            return self.handed(path)
        return None

    def has(self, filename: str) -> bool:
        return self.find(filename) is not None

    def files(self) -> list[str] | None:
        assert self.folder is not None
        every = (
            Path(place, name).relative_to(self.folder).as_posix()
            for place, _, names in os.walk(self.folder)
            for name in names
        )
        return sorted(islice(every, LISTED))

    def header(self, filename: str, expected: int | None = None) -> Header | None:
        del expected  # here it costs nothing
        path = self.find(filename)
        return None if path is None else read_header(path)

    def part(self, filename: str, start: int, end: int) -> tuple[bytes, int] | None:
        path = self.find(filename)
        return None if path is None else read_part(path, start, end)

    def safe_revisions(self) -> list[str]:
        return []


def _state(path: Path) -> tuple[int, int, int] | None:
    """What tells one file, and one content of it, from another; None if there is none."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns, info.st_ino


def is_repo_id(text: str) -> bool:
    """Whether the Hub could have a repository of this name.

    Example:
        >>> is_repo_id("org/name"), is_repo_id("org/name/file")
        (True, False)
    """
    odd = "--" in text or ".." in text or text.endswith(".git")
    return REPO_ID.fullmatch(text) is not None and not odd


def check_name(filename: str, source: str) -> None:
    """Refuse a file name that could lead out of its folder."""
    if reason := unsafe_name(filename):
        raise HubError(f'the file name "{printable(filename)}" {reason}', file=source)


def check_inside(folder: Path, path: Path) -> None:
    """Refuse a path that is no regular file, or whose links lead out of `folder`.

    A snapshot in the Hub's cache may link to the blobs of its own repository, and to the store of
    blobs that all repositories of the same cache share.
    """
    try:
        real, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise HubError(f"its link can't be followed: {error}", file=path) from error
    if not real.is_relative_to(home) and not _is_own_blob(home, real):
        raise HubError(
            f"is a link that leads out of its folder, to {printable(real)}",
            file=path,
            hint="put the file itself there, or give the folder it is in",
        )
    if not real.is_file():
        what = "is no regular file" if real.exists() else "is a link to nothing"
        raise HubError(what, file=path)


def _is_own_blob(home: Path, real: Path) -> bool:
    for place in (home, *home.parents):
        if place.parent.name == "snapshots" and COMMIT.fullmatch(place.name):
            repo = place.parents[1]
            shared = repo.parent / "blobs"
            return real.parent == repo / "blobs" or (
                repo.name.startswith("models--")
                and (shared / ".huggingface-shared-blobs").is_file()
                and real.parent == shared / real.name[:2]
                and SHARED_BLOB.fullmatch(real.name) is not None
            )
    return False
