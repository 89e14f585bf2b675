"""Where a checkpoint is saved to: odd folders, and files that belong to somebody else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from blocks import (
    CheckpointError,
    Tokenizer,
    export,
    from_pretrained,
    packaged,
    save_pretrained,
    verify,
)
from blocks.hub import durable, folder, staging
from blocks.hub.journal import NEXT
from blocks.hub.provenance import Provenance
from tests.hub.toy import write
from tests.hub.versions import model, read, save, texts

pytestmark = pytest.mark.usefixtures("no_sync")
MINE = {
    "model-20240101.safetensors": "mine",
    "adapter.safetensors": "mine",
    "model.fp16.safetensors": "mine",
    "pytorch_model.bin": "mine",
    "README.md": "mine",
    "my config.json": "mine",
}


def put(target: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)


def held(target: Path) -> set[str]:
    return {p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir()}


WRITTEN = {"config.json", "generation_config.json", "model.safetensors", "sha256.json"}
WRITTEN |= {"tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize("folders", [False, True])
def test_files_of_others_stay(folders: bool, tmp_path: Path) -> None:
    target = tmp_path / "target"
    more = {"checkpoint-5/model.safetensors": "mine", "runs/a/b": "mine"} if folders else {}
    put(target, MINE | more)
    if folders:
        (target / "link").symlink_to("README.md")
    inodes = {name: (target / name).stat().st_ino for name in MINE | more}
    for version, shards in enumerate((3, 1, 4, 1), start=1):
        save(version, target, shards)
        assert read(target) == {version}
        assert all((target / name).stat().st_ino == inodes[name] for name in inodes)
    assert held(target) == WRITTEN | {*MINE, *more, *(["link"] if folders else [])}
    assert (target / "link").is_symlink() == folders
    assert all((target / name).read_text() == "mine" for name in MINE)


@pytest.mark.parametrize("folders", [False, True])
def test_nothing_of_an_older_checkpoint_stays(folders: bool, tmp_path: Path) -> None:
    """What would be read with the new one, or instead of it, though it is not part of it."""
    target = tmp_path / "target"
    save(1, target, 4)
    put(target, {"modules.json": "[]", "diffusion_pytorch_model.safetensors": ""})
    put(target, {"vocab.json": "{}", "additional_chat_templates/rag.jinja": ""} if folders else {})
    save(2, target, 1)
    assert read(target) == {2} and held(target) == WRITTEN
    made = model(3)
    made.generation = None
    save_pretrained(made, target)
    assert held(target) == WRITTEN - {"generation_config.json"}
    assert "tokenizer.json" in verify(target)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_live_model_keeps_its_numbers(
    swaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are mapped, and replaced by those of another, by its own, and removed."""
    target = tmp_path / "target"
    save(1, target, 3)
    live = from_pretrained(target)
    if not swaps:
        (target / "runs").mkdir()
    save(2, target, 3)
    save_pretrained(live, target)
    save(2, target, 1)
    assert {int(n) for tensor in live.parameters() for n in tensor.unique()} == {1}
    assert read(target) == {2}


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in it still stands in it afterwards."""
    monkeypatch.chdir(tmp_path)
    for version in (1, 2):
        save(version, Path("."))
        assert read(Path(".")) == {version} and Path("config.json").exists()
    assert os.path.samefile(os.getcwd(), tmp_path)


def test_a_link_to_a_folder_and_links_in_it(tmp_path: Path) -> None:
    real, link = tmp_path / "a" / "real", tmp_path / "link"
    put(real, {"notes.txt": "mine"})
    put(tmp_path, {"elsewhere": "mine"})
    link.symlink_to("a/real")
    (real / "config.json").symlink_to(tmp_path / "elsewhere")
    save(1, link)
    assert link.is_symlink() and read(real) == {1} and not (real / "config.json").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["real"]


def test_rights_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    save(1, target)
    usual = stat.S_IMODE((target / "config.json").stat().st_mode)
    assert stat.S_IMODE((target / "model.safetensors.index.json").stat().st_mode) == usual
    for mode in (0o2770, 0o755):
        target.chmod(mode)
        before = target.stat().st_ino
        save(2, target)
        assert stat.S_IMODE(target.stat().st_mode) == mode and target.stat().st_ino != before


def denying(patch: pytest.MonkeyPatch, parent: Path, error: int) -> None:
    """Nothing can be made in `parent`, as where it is read-only or not one's own."""
    real = os.mkdir

    def mkdir(path: Any, *args: Any) -> None:
        if Path(path).parent == parent:
            raise OSError(error, os.strerror(error), str(path))
        real(path, *args)

    patch.setattr(os, "mkdir", mkdir)


@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS])
def test_a_parent_that_is_read_only(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    save(1, target)
    denying(monkeypatch, tmp_path, error)
    save(2, target)
    assert read(target) == {2} and held(target) >= {"config.json"}
    with pytest.raises(CheckpointError, match="can't be written"):
        save(1, tmp_path / "new")


def test_a_folder_of_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved across its border, also where that is only found out when it is tried."""
    target = tmp_path / "target"
    save(1, target)

    def across(one: Path, other: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    real = os.rename

    def rename(one: Any, other: Any) -> None:
        if (target in Path(one).parents) != (target in Path(other).parents):
            across(one, other)
        real(one, other)

    monkeypatch.setattr(staging, "exchange", across)
    monkeypatch.setattr(os, "rename", rename)
    save(2, target)
    assert read(target) == {2}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "sha256.json"])
def test_a_folder_with_the_name_of_a_file(name: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    save(1, target, 3)
    (target / name).unlink(missing_ok=True)
    (target / name).mkdir()
    (target / name / "mine").write_text("mine")
    before = held(target)
    with pytest.raises(CheckpointError, match=f"{name} is a folder"):
        save(2, target, 1)
    assert held(target) == before and (target / name / "mine").read_text() == "mine"


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "file").write_text("")
    for odd in (tmp_path / "a", tmp_path / "file", tmp_path / "file" / "x", tmp_path / "\0"):
        with pytest.raises(CheckpointError):
            save(1, odd)
    save(1, tmp_path / "x" / "y" / "z")
    assert read(tmp_path / "x" / "y" / "z") == {1}
    longest = tmp_path / ("é" * 127)  # bytes count, of which a name has at most 255
    for version in (1, 2):
        save(version, longest)
    assert read(longest) == {2}


def test_what_comes_while_it_is_being_saved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in the last moment before the exchange, by somebody who knows nothing of it."""
    target = tmp_path / "target"
    save(1, target)
    (target / "gone").write_text("")

    def late(one: Path, other: Path) -> None:
        put(target, {"late": "mine", "late folder/x": "mine"})
        durable.exchange(one, other)

    monkeypatch.setattr(folder, "exchange", late)
    save(2, target)
    assert read(target) == {2} and (target / "late").read_text() == "mine"
    assert (target / "late folder" / "x").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_what_others_left_is_not_touched(tmp_path: Path) -> None:
    """Names that look like ours: of a save to another folder, of one that still runs, of a user."""
    target, key = tmp_path / "target", staging._prefix(tmp_path / "target")
    running = tmp_path / f"{key}00000000"
    put(running, {"lock": "", "new/config.json": "{}"})
    put(tmp_path / ".blocks-saving-mine", {"lock": "", "new/config.json": "{}"})
    put(tmp_path / f"{key}11111111", {"mine": "no lock"})
    put(tmp_path / f"{key}22222222", {"lock": "", "new/mine": "", "new/config.json": "{}"})
    with durable.locked(running / "lock") as alone:
        assert alone
        save(1, target)
        assert held(running) == {"lock", "new/config.json"}
    assert held(tmp_path / ".blocks-saving-mine") and held(tmp_path / f"{key}11111111")
    save(2, target)
    assert not running.exists() and not (tmp_path / f"{key}22222222").exists()
    assert (target / "mine").exists(), "it had no other name"
    assert read(target) == {2}


def test_names_from_files_are_never_file_names(tmp_path: Path) -> None:
    names = ("../evil", "/tmp/evil", "evil/../../evil", "config.json")
    tokenizer: Any = texts(1)
    found = tokenizer.files() | dict.fromkeys(names, b"evil")
    tokenizer.files = lambda: found
    made = model(1)
    made.generation.to_json = lambda: {"../evil": "../evil", "eos_token_id": 1}
    made.provenance = Provenance("../evil", None, "../evil")
    save_pretrained(made, tmp_path / "a" / "b", tokenizer=tokenizer)
    assert held(tmp_path) == {f"a/b/{name}" for name in WRITTEN}
    assert "spec" in json.loads((tmp_path / "a" / "b" / "config.json").read_text())


def test_a_tokenizer_is_saved_with_it(tmp_path: Path) -> None:
    source = write(tmp_path / "toy")
    with pytest.raises(CheckpointError, match="must be a blocks.Tokenizer") as caught:
        export(from_pretrained(source), tmp_path / "out", tokenizer="gpt2")
    assert caught.value.field == "tokenizer" and not (tmp_path / "out").exists()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(packaged(), name), source)
    tokenizer = Tokenizer.from_pretrained(source)
    for call in (save_pretrained, export):
        call(from_pretrained(source), tmp_path / "out", tokenizer=tokenizer)
        assert {"tokenizer.json", "model.safetensors"} < set(verify(tmp_path / "out"))
        again = Tokenizer.from_pretrained(tmp_path / "out")
        assert again.encode("a b") == tokenizer.encode("a b")


def test_many_saves_to_one_folder_at_once(tmp_path: Path) -> None:
    """Whoever is last wins; each of them is whole."""
    target, wrong = tmp_path / "target", []

    def work(version: int) -> None:
        try:
            for _ in range(3):
                save(version, target, 2)
        except BaseException as error:  # for the thread that asks
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(version,)) for version in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(read(target)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["target"] and not (target / NEXT).exists()
    assert torch.is_grad_enabled()
