"""The watchdog barks: what the gallery must never let pass is seen."""

from __future__ import annotations

import mmap
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from blocks import CheckpointError, ConfigError
from tests.clock import slower
from tests.gallery import harness, sound
from tests.gallery.harness import Case, found, judge
from tests.gallery.test_gallery import linux


def nothing(folder: Path) -> None: ...


def refuse(folder: Path) -> None:
    raise CheckpointError("is bad", file=folder / "model.safetensors")


def grow(folder: Path) -> mmap.mmap:
    # Not from what the process has let go of.
    block = mmap.mmap(-1, 200 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, len(block), mmap.PAGESIZE):
        block[page] = 1
    time.sleep(0.2)
    return block


def hang(folder: Path) -> None:
    time.sleep(60)


def dread(folder: Path) -> None:
    raise KeyError("w")


def die(folder: Path) -> None:
    os.kill(os.getpid(), 11)


def start(folder: Path) -> None:
    subprocess.run(["true"], check=True)


def run(folder: Path) -> None:
    exec("x = 1")


def peep(folder: Path) -> None:
    (folder.parent / "outside").read_bytes()


def slow(folder: Path) -> None:
    until = time.process_time() + 1.5 * harness.REFUSED_SECONDS * slower()
    while time.process_time() < until:
        pass
    refuse(folder)


def big(folder: Path) -> None:
    assert grow(folder)
    refuse(folder)


@linux
@pytest.mark.parametrize(
    ("act", "wrong"),
    [
        (refuse, ""),
        (nothing, "accepted"),
        (dread, "KeyError, not"),
        (die, "crash"),
        (hang, "hang"),
        (grow, "memory"),
        (start, "subprocess.Popen"),
        (run, "exec"),
        (peep, "open .*outside"),
        (slow, "took .* s"),
        (big, "took .* MiB"),
    ],
)
def test_what_is_wrong_is_seen(
    act: Any, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    if act in (hang, grow):
        monkeypatch.setattr(harness, "SECONDS", 0.5 if act is hang else 25.0)
        monkeypatch.setattr(harness, "MEMORY", harness._memory("RssAnon") + (50 << 20))
    case = Case("c", nothing, CheckpointError, "bad", file="model.safetensors", act=act)
    told = judge(case, found(case, sound.write(tmp_path / "model")), None)
    assert re.search(wrong, "; ".join(told)) and bool(told) == bool(wrong)


@pytest.mark.parametrize(
    "case",
    [
        Case("kind", nothing, ConfigError, "bad", file="model.safetensors", act=refuse),
        Case("file", nothing, CheckpointError, "bad", file="other", act=refuse),
        Case("tensor", nothing, CheckpointError, "bad", tensor="w", act=refuse),
        Case("reason", nothing, CheckpointError, "good", file="model.safetensors", act=refuse),
        Case("nowhere", nothing, CheckpointError, "bad", act=refuse),
        Case("sound", nothing, None, act=refuse),
    ],
    ids=lambda case: case.name,
)
@linux
def test_another_error_does_not_pass(case: Case, tmp_path: Path) -> None:
    assert judge(case, found(case, sound.write(tmp_path / "model")), None)
