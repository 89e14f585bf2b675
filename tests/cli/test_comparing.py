"""`blocks diff`: exit codes as other diff tools have them, and texts that a pipe can take."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from index import ROOT

from tests.cli.test_commands import fails, run


@pytest.fixture
def wider(checkpoint: Path, tmp_path: Path) -> Path:
    """A config of another width, without weights."""
    data = json.loads((checkpoint / "config.json").read_text())
    path = tmp_path / "wider.json"
    path.write_text(json.dumps(data | {"intermediate_size": 48}))
    return path


def test_nothing_differs(checkpoint: Path) -> None:
    result = run("diff", checkpoint, checkpoint)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "equal"


def test_something_differs(checkpoint: Path, wider: Path) -> None:
    result = run("diff", checkpoint, wider)
    assert result.exit_code == 1
    assert ["layers.0-2.mlp", "GatedMLP", "hidden", "24", "48"] in [
        line.split() for line in result.stdout.splitlines()
    ]
    result = run("diff", checkpoint, wider, "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["equal"] is False and data["b"]["name"].startswith(str(wider))


def test_trees_beside_each_other(checkpoint: Path, wider: Path) -> None:
    result = run("diff", checkpoint, wider, "--side-by-side")
    assert result.exit_code == 1
    assert "GatedMLP(hidden=24)" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("other", "words"),
    [("/no/folder", "is not a folder"), ("wider.json", "JSON"), ("--side-by-side", "--json")],
)
def test_what_cant_be_compared(other: str, words: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "wider.json").write_text("{")
    place = [tmp_path / other] if other.endswith("json") else [other]
    if other.startswith("--"):
        place = [checkpoint, "--side-by-side", "--json"]
    fails(run("diff", checkpoint, *place), words, code=2)


@pytest.mark.parametrize("command", ["inspect", "explain", "diff"])
def test_a_pipe_that_closes_is_no_traceback(command: str, checkpoint: Path) -> None:
    given = [str(checkpoint)] * (2 if command == "diff" else 1)
    told = [sys.executable, "-W", "error", "-m", "blocks", command, *given, "--json"]
    with subprocess.Popen(told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as piped:
        assert piped.stdout is not None and piped.stderr is not None
        piped.stdout.close()  # as `head` does, here before the first line
        assert piped.stderr.read() == b""


def test_a_folder_of_a_config_alone(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(checkpoint / "config.json", tmp_path)
    assert run("diff", checkpoint, tmp_path).exit_code == 0
    assert "14,064" in run("explain", tmp_path).stdout
