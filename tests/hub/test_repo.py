"""Repositories on the Hub: what is fetched, at which commit, and what each failure says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from blocks.errors import CheckpointError, HubError
from blocks.hub.checkpoint import open_checkpoint, peek_checkpoint
from blocks.hub.source import resolve
from tests.hub.craft import FILES, entry, file, go_offline, index, refusal, weights
from tests.hub.loopback import HubServer
from tests.hub.uploads import GATED, HIDDEN, TOKEN

REPO = "org/model"


# One commit


def test_every_file_is_of_the_commit_first_seen(hub_server: HubServer) -> None:
    first = hub_server.add(REPO, FILES)
    source = resolve(REPO)
    hub_server.add(REPO, {"config.json": b'{"new": 1}', "model.safetensors": weights("b")})
    assert source.commit == first
    assert source.need("config.json").read_bytes() == b"{}"
    assert list(open_checkpoint(source).entries) == ["a"]
    assert {r.path.split("/resolve/")[1][:40] for r in hub_server.asked("HEAD")} == {first}
    agent = hub_server.asked("GET", "resolve")[0].headers["user-agent"]
    assert agent.startswith("blocks/")
    assert list(open_checkpoint(resolve(REPO)).entries) == ["b"]


def test_branch_tag_pull_request_and_commit(hub_server: HubServer) -> None:
    commits = {
        name: hub_server.add(REPO, {"config.json": name.encode()}, name)
        for name in ("main", "dev", "v1.0", "refs/pr/7")
    }
    for name, commit in commits.items():
        source = resolve(REPO, revision=name)
        assert source.commit == commit
        assert source.name == f"{REPO}@{name}"
        assert source.need("config.json").read_bytes() == name.encode()
    assert hub_server.asked("GET", "refs%2Fpr%2F7")
    before = len(hub_server.requests)
    source = resolve(REPO, revision=commits["dev"])
    assert source.need("config.json").read_bytes() == b"dev"
    assert len(hub_server.requests) == before  # a commit that is cached asks for nothing


def test_second_use_downloads_nothing(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES)
    for _ in range(2):
        source = resolve(REPO)
        assert source.find("none.json") is None
        source.need("config.json")
        open_checkpoint(source)
    assert len(hub_server.asked("GET", "resolve")) == 2
    assert len(hub_server.asked("HEAD", "none.json")) == 1  # its absence is remembered


def test_force_download_fetches_each_file_once_more(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES)
    path = resolve(REPO).need("config.json")
    path.resolve().write_bytes(b"broken")
    source = resolve(REPO, force_download=True)
    assert source.need("config.json").read_bytes() == b"{}"
    source.need("config.json")
    assert len(hub_server.asked("GET", "config.json")) == 2


def test_cache_dir(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.add(REPO, FILES)
    mine = tmp_path / "mine"
    path = resolve(REPO, cache_dir=mine).need("config.json")
    assert path.is_relative_to(mine)
    assert resolve(REPO, cache_dir=mine, local_files_only=True).need("config.json") == path
    assert "not in the local cache" in str(refusal(REPO, local_files_only=True))


# Failures


def test_missing_repository_revision_and_file(hub_server: HubServer) -> None:
    hub_server.add(REPO, {"model.safetensors": weights("a")})
    hub_server.add("org/secret", FILES, access=HIDDEN)
    for name in ("org/none", "org/secret"):
        for token in (None, "hf_bad"):
            error = refusal(name, token=token)
            assert "no such repository or folder, or it is private" in str(error)
            assert error.file == name
    assert resolve("org/secret", token=TOKEN).need("config.json")
    assert "no such revision" in str(refusal(REPO, revision="v9"))
    assert "no such revision" in str(refusal(REPO, revision="f" * 40))
    with pytest.raises(HubError, match=rf"{REPO}: has no config\.json"):
        resolve(REPO).need("config.json")


def test_gated_repository_needs_a_token(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES, access=GATED)
    for token in (None, "hf_bad"):
        assert "is gated" in str(refusal(REPO, token=token))
        with pytest.raises(HubError, match="is gated"):
            resolve(REPO, token=token).header("model.safetensors")
    assert resolve(REPO, token=TOKEN).need("config.json")
    assert "no token is saved" in str(refusal("org/other", token=True))


def test_offline(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_server.add(REPO, {**FILES, "extra.json": b"{}"})
    source = resolve(REPO)
    path = source.need("config.json")
    assert source.find("none.json") is None
    open_checkpoint(source)
    before = len(hub_server.requests)
    go_offline(monkeypatch)
    source = resolve(REPO)
    assert source.need("config.json") == path
    assert source.find("none.json") is None
    assert source.find("extra.json", assume_absent=True) is None
    assert list(open_checkpoint(source).entries) == ["a"]
    assert list(peek_checkpoint(source).entries) == ["a"]
    assert source.safe_revisions() == []
    with pytest.raises(HubError, match=r"extra\.json is not in the local cache, and the Hub is"):
        source.find("extra.json")
    assert "not in the local cache" in str(refusal("org/other"))
    assert "not in the local cache" in str(refusal(REPO, revision="dev"))
    with pytest.raises(HubError, match="switched off"):
        resolve(REPO, force_download=True)
    assert len(hub_server.requests) == before


def test_local_files_only(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES)
    resolve(REPO).need("config.json")
    before = len(hub_server.requests)
    source = resolve(REPO, local_files_only=True)
    assert source.need("config.json").read_bytes() == b"{}"
    with pytest.raises(CheckpointError, match="are in the local cache"):
        open_checkpoint(source)
    with pytest.raises(HubError, match="contradicts"):
        resolve(REPO, local_files_only=True, force_download=True)
    assert len(hub_server.requests) == before


def test_full_snapshot_answers_offline(
    hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    hub_server.add(REPO, FILES)
    snapshot = snapshot_download(REPO, endpoint=hub_server.url)
    go_offline(monkeypatch)
    source = resolve(REPO)
    assert source.files() == ["config.json", "model.safetensors"]
    assert source.find("none.json") is None
    assert list(open_checkpoint(source).entries) == ["a"]
    assert list(open_checkpoint(resolve(snapshot)).entries) == ["a"]


def test_unreachable_hub(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES)
    resolve(REPO).need("config.json")
    open_checkpoint(resolve(REPO))
    hub_server.stop()
    assert "the Hub gave no answer" in str(refusal("org/other"))
    source = resolve(REPO)  # what is cached is enough
    assert source.need("config.json")
    assert list(open_checkpoint(source).entries) == ["a"]


def test_interrupted_download_is_resumed(
    hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    big = file({"w": entry("I8", [300_000])}, os.urandom(300_000))
    hub_server.add(REPO, {**FILES, "model.safetensors": big})
    hub_server.cut("model.safetensors", 100_000)
    got = open_checkpoint(resolve(REPO))
    assert got.files[0].read_bytes() == big
    ranges = [request.headers.get("range") for request in hub_server.asked("GET", "resolve")]
    assert ranges == [None, "bytes=100000-"]


def test_shards_of_the_index_and_nothing_else(hub_server: HubServer) -> None:
    hub_server.add(
        REPO,
        {
            "model.safetensors.index.json": index({"a": "x.safetensors", "b": "y.safetensors"}),
            "x.safetensors": weights("a"),
            "y.safetensors": weights("b"),
            "z.safetensors": weights("c"),
            "pytorch_model.bin": b"\x80\x02",
        },
    )
    got = open_checkpoint(resolve(REPO))
    assert [path.name for path in got.files] == ["x.safetensors", "y.safetensors"]
    assert not hub_server.asked("GET", "z.safetensors")
    assert not hub_server.asked("GET", "pytorch_model.bin")
    assert not hub_server.asked("HEAD", "pytorch_model.bin")


def test_two_checkpoints_are_refused_before_either_is_fetched(hub_server: HubServer) -> None:
    name = "model.safetensors.index.json"
    hub_server.add(REPO, {**FILES, name: index({"a": "x.safetensors"}), "x.safetensors": b""})
    with pytest.raises(CheckpointError, match="holds two checkpoints"):
        open_checkpoint(resolve(REPO))
    assert [r.path.rpartition("/")[2] for r in hub_server.asked("GET", "resolve")] == [name]


def test_index_that_leads_out_is_refused(hub_server: HubServer) -> None:
    hub_server.add(REPO, {"model.safetensors.index.json": index({"a": "../../x.safetensors"})})
    with pytest.raises(CheckpointError, match="leaves its folder"):
        open_checkpoint(resolve(REPO))
    assert not hub_server.asked("HEAD", "x.safetensors")


def test_only_pickles_names_the_pull_requests_with_safetensors(hub_server: HubServer) -> None:
    pickle: dict[str, bytes | Path] = {"pytorch_model.bin": b"\x80\x02"}
    hub_server.add(REPO, pickle)
    with pytest.raises(CheckpointError, match=r'try revision="refs/pr/N"'):
        open_checkpoint(resolve(REPO))
    hub_server.add(REPO, pickle, "refs/pr/3")
    hub_server.add(REPO, {**pickle, "model.safetensors": weights("a")}, "refs/pr/7")
    with pytest.raises(CheckpointError, match=r'have safetensors: revision="refs/pr/7"$'):
        open_checkpoint(resolve(REPO))
    assert open_checkpoint(resolve(REPO, revision="refs/pr/7")).entries
    assert not hub_server.asked("HEAD", "pytorch_model.bin")


def test_environment_of_a_user(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.add(REPO, FILES)
    code = (
        "from blocks.hub.source import resolve\n"
        f"print(resolve({REPO!r}).need('config.json').read_text())"
    )
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        before = len(hub_server.requests)
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **more},
            cwd=Path(__file__).parents[2],
        )
        assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr
        assert (len(hub_server.requests) == before) == bool(more)


def test_threads_may_share_a_source(hub_server: HubServer) -> None:
    hub_server.add(REPO, FILES)
    source, got = resolve(REPO), []
    threads = [
        threading.Thread(target=lambda: got.append(source.need("model.safetensors").read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [weights("a")] * 4
