"""A save in place that was cut off: what readers make of it, and what others do meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from blocks import BlocksError, CheckpointError, Tokenizer, inspect, packaged, verify
from blocks.hub.journal import NEXT, read_journal
from blocks.hub.source import resolve
from tests.hub.test_save_faults import Crash, interrupted
from tests.hub.versions import read, save

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Version 2 is saved over 1, and a few of its files are in their places."""
    target = tmp_path / "target"
    save(1, target, 1)
    (target / "runs").mkdir()
    calls = interrupted(monkeypatch, Path(shutil.copytree(target, tmp_path / "all")), "x").called
    last = len(calls) - 1 - calls[::-1].index("replace")
    with pytest.raises(Crash):
        interrupted(monkeypatch, target, "x", last - 1, Crash())
    shutil.rmtree(tmp_path / "all")
    assert (target / NEXT / "sha256.json").exists() and read_journal(target)
    return target


def test_all_readers_see_the_new_one(half: Path) -> None:
    assert read(half) == {2} and "config.json" in verify(half)
    assert inspect(half).parameters
    assert json.loads((half / "sha256.json").read_text()).keys() != set(verify(half))
    assert resolve(half).find("model.safetensors") is None, "the older one is not seen"


def test_a_copy_of_it_is_as_good(half: Path, tmp_path: Path) -> None:
    assert read(Path(shutil.copytree(half, tmp_path / "copy"))) == {2}


@pytest.mark.parametrize("name", ["config.json", "sha256.json", "tokenizer.json"])
@pytest.mark.parametrize("where", ["", NEXT])
def test_who_writes_there_meanwhile_is_noticed(where: str, name: str, half: Path) -> None:
    """Never a mix of a save's files with those that somebody has copied over them."""
    path = half / where / name
    if where and not path.exists():
        return
    path.write_text("{ }")
    for call in (read, verify, lambda place: save(3, place)):
        with pytest.raises(CheckpointError) as caught:
            call(half)
    if not where:
        assert f"{name} was changed" in caught.value.reason
        shutil.rmtree(half / NEXT)  # as the hint says
        assert caught.value.hint and "remove" in caught.value.hint
        save(3, half)
        assert read(half) == {3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"after": [], "before": {}}',
        '{"after": {"../x": [1, 2]}, "before": {}}',
        '{"after": {"/etc/passwd": [1, 2]}, "before": {}}',
        '{"after": {}, "before": {"../notes": [4, 5]}}',
        '{"after": {"config.json": [1]}, "before": {}}',
        '{"after": {"config.json": ["1", 2]}, "before": {}}',
        '{"after": {"config.json": null}, "before": {}}',
    ],
)
def test_a_journal_that_no_save_writes(text: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    save(1, target)
    (tmp_path / "notes").write_text("mine")
    (target / NEXT).mkdir()
    (target / NEXT / "journal.json").write_text(text)
    for call in (read, lambda place: save(2, place)):
        with pytest.raises(BlocksError) as caught:
            call(target)
        assert caught.value.hint and NEXT in str(caught.value.file)
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_link_is_no_journal(half: Path, tmp_path: Path) -> None:
    os.rename(half / NEXT, tmp_path / "elsewhere")
    (half / NEXT).symlink_to(tmp_path / "elsewhere")
    assert read_journal(half) is None


def test_a_tokenizer_is_put_beside_a_model(tmp_path: Path) -> None:
    """In one step, with its checksums; and by itself, where there are none."""
    target = tmp_path / "target"
    save(1, target)
    model = {p.name: p.stat().st_ino for p in target.iterdir() if "model" in p.name}
    tokenizer: Any = Tokenizer.from_pretrained(packaged())
    for folder in (target, target, tmp_path / "alone"):
        tokenizer.save_pretrained(folder)
        assert Tokenizer.from_pretrained(folder).encode("a b") == tokenizer.encode("a b")
    assert "tokenizer.json" in verify(target)
    assert {n: (target / n).stat().st_ino for n in model} == model
    assert {p.name for p in (tmp_path / "alone").iterdir()} == set(tokenizer.files())
