"""Files that change under a load or a live model, and loads that break off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors
from index import ROOT

from blocks import CheckpointError, from_pretrained
from blocks.hub import load
from tests.hub.versions import read, save


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved")
    for version in (1, 2):
        save(version, place / str(version), 3)
    return place


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved / "1", tmp_path / "copy"))


def rewritten(path: Path, new: Path) -> None:
    with path.open("r+b") as file:
        file.write(new.read_bytes())
    os.utime(path, ns=(1, 1))


def replaced(path: Path, new: Path) -> None:
    shutil.copy2(new, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def cut(path: Path, new: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def removed(path: Path, new: Path) -> None:
    path.unlink()


FILES = ["config.json", "model.safetensors.index.json", "model-00002-of-00003.safetensors"]
FILES += ["generation_config.json"]


@pytest.mark.parametrize("how", [rewritten, replaced, cut, removed])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["read_tensors", "read_generation"])
def test_a_file_that_changes_between_check_and_use(
    where: str, name: str, how: Any, saved: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after the tensors are read."""
    real = getattr(load, where)

    def change(*args: Any, **options: Any) -> Any:
        found = real(*args, **options) if where == "read_generation" else None
        how(folder / name, saved / "2" / name)
        return found if where == "read_generation" else real(*args, **options)

    monkeypatch.setattr(load, where, change)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, copy=True)
    assert caught.value.file == str(folder / name) and caught.value.hint


def opened() -> int:
    """The files that are open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_a_load_that_breaks_off_at_any_tensor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half of a model comes out of it, and no file stays open."""

    class Handle:
        def __init__(self, path: Path, framework: str):
            self.real = real(path, framework=framework)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            self.real.__exit__(*error)

        def get_tensor(self, name: str) -> Any:
            calls.append(name)
            if len(calls) == fails["at"]:
                raise OSError(5, "Input/output error")
            return self.real.get_tensor(name)

    real, fails = safetensors.safe_open, {"at": 0}
    calls: list[str] = []
    monkeypatch.setattr(safetensors, "safe_open", Handle)
    from_pretrained(folder)
    total, before = len(calls), opened()
    assert total == 12
    for fails["at"] in range(1, total + 1):
        calls.clear()
        with pytest.raises(CheckpointError, match="can't be read: .*Input/output") as caught:
            from_pretrained(folder)
        assert caught.value.file and "model-" in caught.value.file
    assert opened() == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="nothing can be cut that is mapped there")
def test_a_copy_needs_its_files_no_more(folder: Path) -> None:
    """In a process of its own, which a mapped model would not survive."""
    code = f"""
        import os, pathlib
        from blocks import from_pretrained
        folder = pathlib.Path({str(folder)!r})
        live = from_pretrained(folder, copy=True)
        before = {{n: t.clone() for n, t in live.named_parameters()}}
        for path in folder.glob("model-*"):
            size = path.stat().st_size
            path.open("r+b").write(bytes(size))
            assert all(t.equal(before[n]) for n, t in live.named_parameters())
            os.truncate(path, 0)
            assert all(t.equal(before[n]) for n, t in live.named_parameters())
        print("alive")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "alive\n", done.stderr


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.usefixtures("no_sync")
def test_who_reads_while_it_is_being_saved(beside: bool, tmp_path: Path) -> None:
    """One version, whole, or an error that says it changed; never a mix."""
    target, over = tmp_path / "target", threading.Event()
    (target / "runs").mkdir(parents=True) if beside else None
    save(1, target, 3)

    def writer() -> None:
        for version in range(2, 32):
            save(version, target, 1 + version % 3)
        over.set()

    thread = threading.Thread(target=writer)
    thread.start()
    seen: set[int] = set()
    while not over.is_set():
        try:
            model = from_pretrained(target)
            found = {int(n) for tensor in model.parameters() for n in tensor.unique()}
            found.add(int(model.spec.keywords["norm"].keywords["eps"]))
            assert len(found) == 1, found
            seen |= found
        except ValueError as error:
            assert "was changed while it was being read" in str(error), error
    thread.join()
    assert len(seen) > 3 and read(target) == {31}
