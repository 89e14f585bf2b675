"""A save that is cut off, or gets an error, at each of its calls to the system."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from blocks import CheckpointError
from blocks.hub import durable, folder, journal, staging
from tests.hub.versions import read, save

pytestmark = pytest.mark.usefixtures("no_sync")
CALLS = {
    *("open", "write", "fsync", "mkdir", "makedirs", "rename", "replace", "unlink", "rmdir"),
    *("link", "chmod", "listdir", "scandir", "exchange"),
}


class Crash(BaseException):
    """The end of the process: nothing of the save runs after it."""


class System:
    """The module os, of which the nth call fails; after a crash every later call as well."""

    def __init__(self, nth: int, error: BaseException | None):
        self.nth, self.error = nth, error
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.wrapped(name, real) if name in CALLS else real

    def wrapped(self, name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.called.append(name)
            at = len(self.called)
            if self.error and (at == self.nth or (at > self.nth and isinstance(self.error, Crash))):
                raise self.error
            return real(*args, **options)

        return call


def interrupted(
    patch: pytest.MonkeyPatch, target: Path, how: str, nth: int = 0, error: Any = None
) -> System:
    """A save of version 2 under a system that fails."""
    system = System(nth, error)
    swap = system.wrapped("exchange", durable.exchange if how == "whole" else missing)
    with patch.context() as only:
        for module in (durable, folder, journal, staging):
            only.setattr(module, "os", system)
        for module in (folder, staging):
            only.setattr(module, "exchange", swap)
        save(2, target, 3)
    return system


def missing(*folders: Path) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), *map(str, folders))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("first") / "target"
    save(1, place, 2)
    (place / "notes.txt").write_text("mine")
    return place


def prepared(first: Path, place: Path, how: str) -> Path:
    """Version 1 in a folder of its own, with files of the user's beside it."""
    target = place / "target"
    if how == "new":
        place.mkdir()
        return target
    shutil.copytree(first, target)
    if how == "beside folders":
        (target / "runs").mkdir()
        (target / "runs" / "log").write_text("mine too")
    return target


def check(target: Path, how: str) -> int:
    """Whoever looks sees one version, and the user's files; which version it is."""
    if how == "new" and not target.exists():
        return 0
    (version,) = read(target)
    assert how == "new" or (target / "notes.txt").read_text() == "mine"
    assert how != "beside folders" or (target / "runs" / "log").read_text() == "mine too"
    return version


def clean(target: Path) -> bool:
    return [p.name for p in target.parent.iterdir()] == [target.name] and not [
        p.name for p in target.iterdir() if p.name.startswith(".")
    ]


HOW = ["whole", "beside folders", "no exchange", "new"]
# Every sixth call, and all of them in the slow tests.
STEPS = [(how, 6) for how in HOW[:2]]
STEPS += [pytest.param(how, 1, marks=pytest.mark.slow) for how in HOW]


@pytest.mark.parametrize(("how", "step"), STEPS)
def test_every_prefix_is_a_whole_checkpoint(
    how: str, step: int, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before each call: old or new, and the next save leaves nothing of it behind."""
    calls = interrupted(monkeypatch, prepared(first, tmp_path / "all", how), how).called
    assert check(tmp_path / "all" / "target", how) == 2 and clean(tmp_path / "all" / "target")
    assert calls.count("exchange") == (2 if how == "whole" else how == "no exchange")
    seen = []
    for nth in range(1, len(calls) + 1, step):
        target = prepared(first, tmp_path / str(nth), how)
        with pytest.raises(Crash):
            interrupted(monkeypatch, target, how, nth, Crash())
        seen.append(check(target, how))
        if nth % 5 == 0 or seen[-1] != 1:
            save(3, target, 1)
            assert check(target, how) == 3 and clean(target), calls[nth - 1]
        shutil.rmtree(target.parent)
    assert seen == sorted(seen) and set(seen) == {0 if how == "new" else 1, 2}
    if step == 1:
        moved = seen.index(2) - 1
        assert calls[moved] in ("rename", "exchange") and "write" not in calls[moved:]
        assert calls[moved - 2 : moved] == ["open", "fsync"] and "fsync" in calls[moved + 1 :]


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
BROKEN = OSError(errno.EIO, os.strerror(errno.EIO))
ERRORS = [FULL, DENIED, BROKEN, KeyboardInterrupt()]


@pytest.mark.parametrize(("how", "step"), STEPS)
def test_an_error_at_every_call(
    how: str, step: int, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of ours that names the folder, or none; old or new; nothing is left lying."""
    calls = interrupted(monkeypatch, prepared(first, tmp_path / "all", how), how).called
    for nth in range(1, len(calls) + 1, step):
        for error in ERRORS if step == 1 else [ERRORS[nth // step % len(ERRORS)]]:
            target = prepared(first, tmp_path / str(nth), how)
            try:
                interrupted(monkeypatch, target, how, nth, error)
                failed = False
            except CheckpointError as caught:
                assert caught.file == str(target) and caught.__cause__ is error
                failed = True
            except KeyboardInterrupt:
                failed = True
            version = check(target, how)
            assert failed or version == 2
            if not clean(target) if target.exists() else any(target.parent.iterdir()):
                assert version == 2 or calls[nth - 1] in ("open", "listdir", "unlink", "rmdir")
            save(3, target, 1)
            assert check(target, how) == 3 and clean(target), calls[nth - 1]
            shutil.rmtree(target.parent)
