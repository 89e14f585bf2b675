"""kill -9 during a save: never a broken checkpoint, never a mix of two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from index import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process for each save"),
]


def killed(target: Path, how: str, shards: int, rounds: int = 50) -> dict[str, int]:
    call = [sys.executable, "-m", "tests.hub.killing", str(target), how, str(shards), str(rounds)]
    done = subprocess.run(
        call,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,  # of a machine that does much else
    )
    assert done.returncode == 0, done.stderr
    return {"broken": 0, "mixed": 0, "old": 0, "new": 0} | json.loads(done.stdout)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("how", ["whole", "beside folders"])
def test_fifty_kills(how: str, shards: int, tmp_path: Path) -> None:
    found = killed(tmp_path / "model", how, shards)
    assert found["broken"] == found["mixed"] == 0, found
    assert found["old"] > 0 and found["new"] > 0, found
    assert found["left"] == 0, "the last save, which was not killed, has cleaned up"


def test_the_kills_would_show_a_mix(tmp_path: Path) -> None:
    """The same kills of a writer that takes no care."""
    found = killed(tmp_path / "model", "plain", 4)
    assert found["broken"] > 0 and found["mixed"] > 0, found
