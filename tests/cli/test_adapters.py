"""Adapters on the command line: merged into what is generated and exported."""

from __future__ import annotations

from pathlib import Path

import torch
from click.testing import CliRunner, Result

import blocks
from blocks.cli.main import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_an_adapter_is_merged(tmp_path: Path) -> None:
    model = blocks.from_pretrained(blocks.packaged())
    adapted = blocks.add_adapter(model, ("q", "head"), rank=2)
    with torch.no_grad():
        for p in blocks.trainable(adapted).values():
            p.normal_(std=0.5)
    blocks.save_adapter(adapted, tmp_path / "adapter")
    done = run("export", "packaged", tmp_path / "merged", "--adapter", tmp_path / "adapter")
    assert done.exit_code == 0, done.output
    merged = blocks.from_pretrained(tmp_path / "merged")
    wanted = blocks.merge_adapter(blocks.load_adapter(model, tmp_path / "adapter"))
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(merged(tokens), wanted(tokens))
    asked = ("packaged", "ROMEO:", "--max-new-tokens", "12")
    plain, other = (run("generate", *asked, *more) for more in ((), _with(tmp_path / "adapter")))
    assert plain.exit_code == other.exit_code == 0 and plain.stdout != other.stdout
    wrong = run("generate", *asked, *_with(tmp_path / "merged"))
    assert wrong.exit_code == 1 and "has no adapter_config.json" in wrong.stderr


def _with(folder: Path) -> tuple[str, str]:
    return "--adapter", str(folder)
