"""Packed models on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import blocks
from tests.cli.test_commands import fails, run

LIGHTLY = """
import sys
from blocks.cli.main import main
for command in ("inspect", "explain"):
    main([command, sys.argv[1], "--json"], standalone_mode=False)
assert not [name for name in sys.modules if name.partition(".")[0] == "torch"]
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "model"
    model = blocks.from_pretrained(blocks.packaged())
    quick = blocks.optimize(model, quantize="int4", compile=False)
    tokenizer = blocks.Tokenizer.from_pretrained(blocks.packaged())
    blocks.save_pretrained(quick, folder, tokenizer=tokenizer)
    return folder


def test_it_is_told_without_torch(packed: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", LIGHTLY, str(packed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    decoder = json.JSONDecoder()
    report, end = decoder.raw_decode(done.stdout)
    told, _ = decoder.raw_decode(done.stdout[end:].lstrip())
    wanted: Any = blocks.inspect(packed)
    assert report == json.loads(json.dumps(wanted.to_json()))
    assert told == json.loads(json.dumps(blocks.explain(packed).to_json()))
    assert report["packed"] == {"int8": 1, "int4": 28}


def test_it_is_verified_and_continues_a_text(packed: Path) -> None:
    assert "model.safetensors" in run("verify", packed).stdout
    text = run("generate", packed, "ROMEO:", "--max-new-tokens", "9").stdout
    plain = run("generate", "packaged", "ROMEO:", "--max-new-tokens", "9", "--quantize", "int4")
    assert text == plain.stdout and text.startswith("ROMEO:")


def test_another_kind_and_another_layout_are_refused(packed: Path, tmp_path: Path) -> None:
    fails(run("generate", packed, "x", "--quantize", "int8"), "are in int4 already")
    fails(run("export", packed, tmp_path / "out"), "29 of its matrices are packed")
    assert not (tmp_path / "out").exists()
    fails(run("generate", packed, "x", "--quantize", "int3"), "'int3' is not one of", code=2)
