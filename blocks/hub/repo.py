"""A Hub repository at one commit, through the Hub client and its cache."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from huggingface_hub import (
    HfApi,
    get_cached_repo_tree,
    hf_hub_url,
    hf_raise_for_status,
    is_offline_mode,
    try_to_load_from_cache,
)
from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    EntryNotFoundError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, http_stream_backoff

from blocks._version import __version__
from blocks.errors import HubError
from blocks.hub.failures import explained, unreachable
from blocks.hub.headers import Header, header_length, parse_header, read_header, read_part
from blocks.hub.source import Source, check_inside, check_name

FIRST = 100_000  # bytes of a remote file asked for at once: most headers fit
PULLS = 10  # pull requests that are searched for safetensors


def settle(
    repo: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    *,
    force: bool,
    local: bool,
) -> Repo:
    """The repository at the commit `revision` names now: see `source.resolve`."""
    local = local or is_offline_mode()
    if force and local:
        raise HubError("needs the Hub, which is switched off", field="force_download")
    api = HfApi(token=token, library_name="blocks", library_version=__version__)
    cache = None if cache_dir is None else Path(cache_dir).expanduser()
    name = f"{repo}@{revision}" if revision else repo
    with explained(name):
        found = api.resolve_revision(
            repo, revision=revision, cache_dir=cache, local_files_only=local
        )
    return Repo(name, found.resolved, None, repo, api, cache, force, local)


@dataclass
class Repo(Source):
    """A Hub repository at one commit, through the Hub client and its cache."""

    repo: str
    api: HfApi
    cache: Path | None
    force: bool
    local: bool
    fetched: set[str] = field(default_factory=set)
    listed: list[str] | None = None

    def find(self, filename: str, *, assume_absent: bool = False) -> Path | None:
        check_name(filename, self.name)
        again = self.force and filename not in self.fetched
        if not again and (path := self._cached(filename)) is not None:
            return path or None
        if self.local and (assume_absent or filename not in (self.files() or [filename])):
            return None
        with explained(self.name, filename):
            try:
                got = self.api.hf_hub_download(
                    self.repo,
                    filename,
                    revision=self.commit,
                    cache_dir=self.cache,
                    force_download=again,
                    local_files_only=self.local,
                )
            except EntryNotFoundError as error:
                if isinstance(error, LocalEntryNotFoundError):
                    raise
                return None
        self.fetched.add(filename)
        return self._checked(Path(got), filename)

    def _cached(self, filename: str) -> Path | Literal[False] | None:
        """A file in the cache; False for one known not to exist; None if nothing is known."""
        found = try_to_load_from_cache(self.repo, filename, self.cache, self.commit)
        if isinstance(found, str):
            return self._checked(Path(found), filename)
        return None if found is None else False

    def _checked(self, path: Path, filename: str) -> Path:
        check_inside(path.parents[filename.count("/")], path)
        return self.handed(path)

    def has(self, filename: str) -> bool:
        check_name(filename, self.name)
        known = self._cached(filename)
        if known is not None:
            return bool(known)
        return filename in (self.files() or ())

    def files(self) -> list[str] | None:
        if self.listed is None:
            try:
                entries = get_cached_repo_tree(
                    self.repo, revision=self.commit, cache_dir=self.cache
                )
                self.listed = sorted(entry.path for entry in entries)
            except CachedRepoTreeNotFoundError:
                if not self.local:
                    self.listed = self._list()
        return self.listed

    def _list(self) -> list[str] | None:
        with explained(self.name):
            try:
                info = self.api.model_info(self.repo, revision=self.commit)
            except Exception as error:
                if not unreachable(error):
                    raise
                self.local = True  # what is cached may still be enough; ask no more
                return None
        return sorted(entry.rfilename for entry in info.siblings or ())

    def header(self, filename: str, expected: int | None = None) -> Header | None:
        check_name(filename, self.name)
        if path := self._cached(filename):
            return read_header(path)
        if self.local:
            return None
        label = f"{self.name}/{filename}"
        with explained(self.name, filename):
            head, size = self._bytes(filename, 0, expected or FIRST)
            end = 8 + header_length(head, size, label)
            if end > len(head):
                head += self._bytes(filename, len(head), end)[0]
        return parse_header(head[8:end], size, label)

    def part(self, filename: str, start: int, end: int) -> tuple[bytes, int] | None:
        check_name(filename, self.name)
        if path := self._cached(filename):
            return read_part(path, start, end)
        if self.local:
            return None
        with explained(self.name, filename):
            return self._bytes(filename, start, end)

    def _bytes(self, filename: str, start: int, end: int) -> tuple[bytes, int]:
        """Bytes of a remote file, fewer if it ends before, and the size of the file."""
        url = hf_hub_url(self.repo, filename, revision=self.commit, endpoint=self.api.endpoint)
        headers = build_hf_headers(
            token=self.api.token, library_name="blocks", library_version=__version__
        )
        headers |= {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with http_stream_backoff(
            "GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT
        ) as response:
            hf_raise_for_status(response)
            whole = response.status_code != 206  # a server that knows no ranges
            size = response.headers["Content-Length" if whole else "Content-Range"]
            skip = start if whole else 0
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) >= skip + end - start:
                    break
        return bytes(data[skip : skip + end - start]), int(size.rpartition("/")[2])

    def safe_revisions(self) -> list[str]:
        if self.local:
            return []
        with explained(self.name):
            refs = self.api.list_repo_refs(self.repo, include_pull_requests=True)
            return [pull.ref for pull in (refs.pull_requests or [])[:PULLS] if self._safe(pull.ref)]

    def _safe(self, revision: str) -> bool:
        names = self.api.list_repo_files(self.repo, revision=revision)
        return any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names)
