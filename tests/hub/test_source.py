"""Folders: what is opened in them, and that nothing outside them is, nor the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.errors import BlocksError, HubError
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.source import resolve
from tests.hub.craft import refusal, weights

# Folders


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "sub" / "x.json").write_text("{}")
    source = resolve(tmp_path)
    assert (source.name, source.commit, source.folder) == (str(tmp_path), None, tmp_path)
    assert source.find("config.json") == tmp_path / "config.json"
    assert source.need("sub/x.json") == tmp_path / "sub" / "x.json"
    assert source.find("none.json") is None
    assert source.has("config.json")
    assert not source.has("none.json")
    assert source.files() == ["config.json", "sub/x.json"]
    assert source.safe_revisions() == []
    with pytest.raises(HubError, match=r"has no none\.json. Hint: make one"):
        source.need("none.json", "make one")


def test_folder_by_relative_name_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("org/model", "./org/model", "~/org/model"):
        assert resolve(name).commit is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("./none", "is not a folder"),
        ("/none/at/all", "is not a folder"),
        ("~/none", "is not a folder"),
        ("a\\b", "is not a folder"),
        (Path("none"), "is not a folder"),
        ("a/b/c", "neither a folder nor a repository's id"),
        ("", "neither a folder nor a repository's id"),
        ("org/mo del", "neither a folder nor a repository's id"),
        ("org/model.git", "neither a folder nor a repository's id"),
        ("org/mo--del", "neither a folder nor a repository's id"),
        ("-org/model", "neither a folder nor a repository's id"),
        ("org/" + "m" * 97, "neither a folder nor a repository's id"),
        ("https://example.org/org/model", "is an address"),
    ],
)
def test_what_is_neither_folder_nor_repository(name: str | Path, reason: str) -> None:
    assert reason in str(refusal(name))


NEAR = {
    "modle.gguf": ("there is no such file", "near: model.gguf"),
    "shards/modle.gguf": ("there is no such file", "near: shards/model.gguf"),
    "./shards/modle.gguf": ("there is no such file", "near: shards/model.gguf"),
    "qwen-3-4b-q4.gguf": ("there is no such file", "holds model.gguf"),
    "nowhere/x.safetensors": ("there is no such file", "there is no folder nowhere"),
    "shard/x.json": ("there is no such file", "there is no folder shard; near: shards"),
    "org/name/sub/none.gguf": ("there is no such file", "near: org/name/sub/one.gguf"),
    "./shard": ("is not a folder", "near: shards"),
    "./far": ("is not a folder", "check the path"),
    "shards/modle/x": ("neither a folder nor a repository's id", 'an id is "org/name"'),
    "shards/mo del": (
        "neither a folder nor a repository's id",
        "on this machine: shards/model.gguf",
    ),
}


@pytest.mark.parametrize("name", NEAR)
def test_what_is_near_a_path_that_leads_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spelt as a file is never asked of the Hub."""
    monkeypatch.chdir(tmp_path)
    for folder, file in (
        ("", "model.gguf"),
        ("shards", "model.gguf"),
        ("org/name/sub", "one.gguf"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / file).write_bytes(b"")
    error = refusal(name)
    assert error.reason.endswith(NEAR[name][0]) and NEAR[name][1] in str(error.hint)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights("a"))
    assert "give the folder it is in" in str(refusal(path))
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(HubError, match="is a file, not a folder"):
        resolve(tmp_path / "x.bin")


# Links


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "model.safetensors").write_bytes(weights("a", value=7))
    return path


def test_link_out_of_the_folder_is_refused(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "sub").symlink_to(outside)
    (folder / "model.safetensors").symlink_to(outside / "model.safetensors")
    (folder / "gone").symlink_to(folder / "nothing")
    (folder / "round").symlink_to(folder / "round")
    source = resolve(folder)
    for name in ("model.safetensors", "sub/model.safetensors"):
        for call in (source.find, source.has, source.header):
            with pytest.raises(HubError, match="a link that leads out of its folder"):
                call(name)
    with pytest.raises(HubError, match="link to nothing"):
        source.find("gone")
    with pytest.raises(HubError, match="link"):
        source.find("round")
    with pytest.raises(HubError, match="no regular file"):
        resolve(tmp_path).find("model")
    with pytest.raises(BlocksError):
        open_checkpoint(source)


def test_link_inside_the_folder_and_link_to_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "real.safetensors").write_bytes(weights("a"))
    (folder / "model.safetensors").symlink_to("real.safetensors")
    (tmp_path / "alias").symlink_to(folder)
    for name in ("model", "alias"):
        assert list(open_checkpoint(resolve(tmp_path / name)).entries) == ["a"]


def test_snapshot_links_to_its_own_blobs_only(tmp_path: Path, outside: Path) -> None:
    repo = tmp_path / "hub" / "models--org--model"
    snapshot = repo / "snapshots" / ("0" * 40)
    (snapshot / "part").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "blobs" / "abc").write_bytes(weights("a"))
    shared = tmp_path / "hub" / "blobs"
    (shared / "ab").mkdir(parents=True)
    digest = "ab" + "1" * 62
    (shared / "ab" / digest).write_bytes(weights("a"))
    (repo / "blobs" / "def").symlink_to(f"../../blobs/ab/{digest}")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "part" / "model.safetensors").symlink_to("../../../blobs/abc")
    (snapshot / "shared.safetensors").symlink_to("../../blobs/def")
    (repo / "blobs" / "out").symlink_to(outside / "model.safetensors")
    (snapshot / "out.safetensors").symlink_to("../../blobs/out")
    (snapshot / "up.safetensors").symlink_to(outside / "model.safetensors")

    assert resolve(snapshot).find("model.safetensors")
    assert resolve(snapshot / "part").find("model.safetensors")
    for name in ("out.safetensors", "up.safetensors", "shared.safetensors"):
        with pytest.raises(HubError, match="leads out of its folder"):
            resolve(snapshot).find(name)
    (shared / ".huggingface-shared-blobs").write_text("1\n")
    assert resolve(snapshot).find("shared.safetensors")


# No network


NO_SOCKETS = """
import sys
def watch(event, args):
    if event.startswith("socket."):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(watch)
from blocks.hub.source import resolve
from blocks.hub.checkpoint import open_checkpoint, peek_checkpoint
source = resolve(sys.argv[1])
source.need("config.json"), source.find("none"), source.files()
assert list(open_checkpoint(source).entries) == list(peek_checkpoint(source).entries) == ["a"]
loaded = {"torch", "huggingface_hub", "httpx2", "numpy"} & sys.modules.keys()
assert not loaded, loaded
"""


def test_folder_opens_no_socket_and_imports_no_client(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(weights("a"))
    done = subprocess.run(
        [sys.executable, "-c", NO_SOCKETS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")
