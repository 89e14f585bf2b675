"""A small Hub on 127.0.0.1: repositories in memory, served as the Hub's own interface does."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.hub.uploads import GATED, HIDDEN, TOKEN, answer_post, pull_request


@dataclass
class Repository:
    """Commits by hash, each all its files; names of commits; and who may see them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    access: str = ""

    @property
    def pulls(self) -> int:
        """How many pull requests there are."""
        return sum(ref.startswith("refs/pr/") for ref in self.refs)

    def commit(self, files: dict[str, bytes], revision: str) -> str:
        """Add a commit and let `revision` name it."""
        digest = hashlib.sha1(f"{len(self.commits)} {revision}".encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        sha = digest.hexdigest()
        self.commits[sha] = files
        self.refs[revision] = sha
        return sha


@dataclass
class Request:
    """One line of the log; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class HubServer:
    """The server and its repositories.

    `add` makes commits, `requests` is the log, `sent` counts the bytes of answers, `cut` breaks one
    download off, `redirect` serves weights from another host, as the Hub does, and `stop` takes it
    off the network.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.messages: list[str] = []
        self.cuts: dict[str, int] = {}
        self.sent = 0
        self.redirect = False
        self.stopped = False
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def add(
        self,
        repo: str,
        files: dict[str, bytes | Path],
        revision: str = "main",
        *,
        access: str = "",
    ) -> str:
        """Add a commit of just these files to a repository and return its hash."""
        repository = self.make(repo)
        repository.access = access or repository.access
        content = {n: c if isinstance(c, bytes) else c.read_bytes() for n, c in files.items()}
        return repository.commit(content, revision)

    def make(self, repo: str) -> Repository:
        """The repository of this name, new or not."""
        return self.repositories.setdefault(repo, Repository())

    def cut(self, filename: str, after: int) -> None:
        """Break the next download of a file off after so many bytes."""
        self.cuts[filename] = after

    def asked(self, method: str, part: str = "") -> list[Request]:
        """Requests of this method whose path contains `part`."""
        return [r for r in self.requests if r.method == method and part in r.path]

    def stop(self) -> None:
        """Answer nobody any more, not even on open connections."""
        self.stopped = True
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def _route(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(size) if size else b""
        if self.hub.stopped:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, self.path, headers))
        path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if self.command == "POST":
            answer_post(self, path)
        elif path[0] == "cdn":
            self._file(
                path[1], self.hub.repositories[path[2] + "/" + path[3]].commits[path[4]], path[5:]
            )
        elif path[0] == "api":
            self._api(path)
        elif "resolve" in path:
            at = path.index("resolve")
            self._resolve("/".join(path[:at]), path[at + 1], path[at + 2 :])
        else:
            self.error(404, "", "Not Found")

    # Answers

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.hub.sent += len(content)
            self.wfile.write(content)

    def json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def error(self, status: int, code: str, text: str, commit: str = "") -> None:
        headers = {"X-Error-Message": text}
        if code:
            headers["X-Error-Code"] = code
        if commit:
            headers["X-Repo-Commit"] = commit
        self.send(status, json.dumps({"error": text}).encode(), headers)

    # Who may see what

    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def find(self, repo: str) -> Repository | None:
        """The repository, or None after an error was sent."""
        found = self.hub.repositories.get(repo)
        if found is None or (found.access == HIDDEN and self.token() != TOKEN):
            self.error(404 if self.token() else 401, "RepoNotFound", "Repository not found")
            return None
        return found

    def revision(self, repository: Repository, revision: str) -> str | None:
        sha = repository.refs.get(revision, revision)
        if sha in repository.commits:
            return sha
        self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    # Reading

    def _resolve(self, repo: str, revision: str, parts: list[str]) -> None:
        if (repository := self.find(repo)) is None:
            return
        if repository.access == GATED and self.token() != TOKEN:
            self.error(403 if self.token() else 401, "GatedRepo", "Access is restricted")
            return
        if (sha := self.revision(repository, revision)) is None:
            return
        files, name = repository.commits[sha], "/".join(parts)
        if name not in files:
            self.error(404, "EntryNotFound", "Entry not found", sha)
        elif self.hub.redirect and name.endswith(".safetensors"):
            content = files[name]
            place = f"http://localhost:{self.hub.port}/cdn/{sha}/{repo}/{sha}/{name}"
            self.send(
                302,
                b"",
                {
                    "Location": place,
                    "X-Repo-Commit": sha,
                    "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                    "X-Linked-Size": str(len(content)),
                },
            )
        else:
            self._file(sha, files, parts)

    def _file(self, sha: str, files: dict[str, bytes], parts: list[str]) -> None:
        name = "/".join(parts)
        content = files[name]
        digest = hashlib.sha256 if name.endswith(".safetensors") else hashlib.sha1
        headers = {"ETag": f'"{digest(content).hexdigest()}"', "X-Repo-Commit": sha}
        status, wanted = 200, self.headers.get("Range", "")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if int(first) >= len(content):
                self.error(416, "", "Range Not Satisfiable")
                return
            end = min(int(last or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            status, content = 206, content[int(first) : end + 1]
        if self.command == "GET" and name in self.hub.cuts:
            headers["Content-Length"] = str(len(content))
            content = content[: self.hub.cuts.pop(name)]
            self.close_connection = True
        self.send(status, content, headers)

    def _api(self, path: list[str]) -> None:
        if path[1] != "models":
            self.error(404, "", "Not Found")
            return
        # The id has one part or two, and what follows is one of a few words.
        words = ("revision", "tree", "refs", "discussions")
        at = next((i for i, part in enumerate(path) if i > 2 and part in words), len(path))
        repo, what, rest = "/".join(path[2:at]), path[at : at + 1], path[at + 1 :]
        if (repository := self.find(repo)) is None:
            return
        if what == ["refs"]:
            named = [
                {"name": ref.removeprefix("refs/pr/"), "ref": ref, "targetCommit": sha}
                for ref, sha in repository.refs.items()
            ]
            self.json(
                {
                    "branches": [r for r in named if not r["ref"].startswith("refs/pr/")],
                    "tags": [],
                    "converts": [],
                    "pullRequests": [r for r in named if r["ref"].startswith("refs/pr/")],
                }
            )
            return
        if what == ["discussions"]:
            self.json(pull_request(repo, int(rest[0])))
            return
        if (sha := self.revision(repository, rest[0] if rest else "main")) is None:
            return
        files = repository.commits[sha]
        if what == ["tree"]:
            self.json(
                [
                    {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                    for n, c in sorted(files.items())
                ]
            )
        else:
            siblings = [{"rfilename": name} for name in sorted(files)]
            self.json({"id": repo, "modelId": repo, "sha": sha, "siblings": siblings})
