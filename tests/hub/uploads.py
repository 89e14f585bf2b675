"""What the small Hub does when it is written to: repositories, branches, commits, pull requests."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.hub.loopback import Handler, Repository

TOKEN = "hf_good"  # the one token this Hub accepts
HIDDEN, GATED = "hidden", "gated"  # repositories only the token may see, or only read
WRITING = ("preupload", "commit", "branch", "discussions")


def answer_post(handler: Handler, path: list[str]) -> None:
    """Answer one POST."""
    if path == ["api", "validate-yaml"]:
        handler.json({"errors": [], "warnings": []})
        return
    if handler.token() != TOKEN:
        handler.error(401, "", "Invalid username or password.")
        return
    if path == ["api", "repos", "create"]:
        asked = json.loads(handler.body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if repo in handler.hub.repositories:
            told = {"error": "You already created it", "url": f"{handler.hub.url}/{repo}"}
            handler.send(409, json.dumps(told).encode())
            return
        made = handler.hub.make(repo)
        made.access = HIDDEN if asked.get("visibility") == "private" else ""
        made.commit({".gitattributes": b""}, "main")
        handler.json({"url": f"{handler.hub.url}/{repo}", "name": repo, "id": "1"})
        return
    at = next(i for i, part in enumerate(path) if part in WRITING)
    repo, what, revision = "/".join(path[2:at]), path[at], "/".join(path[at + 1 :])
    if (repository := handler.find(repo)) is None:
        return
    if what == "branch":
        if revision in repository.refs:
            handler.error(409, "", "Reference already exists")
        else:
            repository.refs[revision] = repository.refs["main"]
            handler.json({})
        return
    if what == "discussions":
        number = repository.pulls + 1
        repository.refs[f"refs/pr/{number}"] = repository.refs["main"]
        handler.json({"num": number})
        return
    if (sha := handler.revision(repository, revision)) is None:
        return
    if what == "preupload":
        names = [file["path"] for file in json.loads(handler.body)["files"]]
        plain = {"uploadMode": "regular", "shouldIgnore": False}
        handler.json({"files": [{"path": name, **plain} for name in names]})
    else:
        _commit(handler, repo, repository, sha, revision)


def _commit(
    handler: Handler, repo: str, repository: Repository, parent: str, revision: str
) -> None:
    files = dict(repository.commits[parent])
    for line in handler.body.splitlines():
        item = json.loads(line)
        if item["key"] == "header":
            handler.hub.messages.append(item["value"]["summary"])
        elif item["key"] == "file":
            files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
        elif item["key"] == "deletedFile":
            del files[item["value"]["path"]]
    answer = {}
    if "create_pr=1" in handler.path:
        number = repository.pulls + 1
        revision = f"refs/pr/{number}"
        answer["pullRequestUrl"] = f"{handler.hub.url}/{repo}/discussions/{number}"
    sha = repository.commit(files, revision)
    handler.json(
        {"commitUrl": f"{handler.hub.url}/{repo}/commit/{sha}", "commitOid": sha, **answer}
    )


def pull_request(repo: str, number: int) -> dict[str, Any]:
    """A pull request as the Hub describes it."""
    return {
        "title": "",
        "num": number,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "status": "draft",
        "repo": {"name": repo, "type": "model"},
        "isPullRequest": True,
        "changes": {"base": "main"},
        "filesWithConflicts": [],
        "events": [],
    }
