"""`blocks transcribe`: a sound file in, text out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tokenizers import Tokenizer as Trained
from tokenizers import models

import blocks
from blocks.cli.main import main
from tests.generation.speech import RATE, Both, sound

soundfile = pytest.importorskip("soundfile", reason="the extra [audio] is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of speech with a tokenizer, and a sound."""
    made = tmp_path_factory.mktemp("speech")
    torch.manual_seed(0)
    Both(made, 1, suppress_tokens=[3, 7])
    soundfile.write(made / "a.wav", sound(1).clamp(-1, 1).numpy(), RATE, subtype="FLOAT")
    return made


def add_tokenizer(folder: Path) -> None:
    words = {f"w{i}": i for i in range(60)}
    trained = Trained(models.WordLevel(words, unk_token="w0"))
    blocks.Tokenizer.from_backend(trained).save_pretrained(folder)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["transcribe", *(str(argument) for argument in arguments)])


def test_tokens_then_text_times_and_json(folder: Path) -> None:
    asked = (folder / "a.wav", "--model", folder, "--language", "en", "--timestamps")
    ours = blocks.from_pretrained(folder)
    wanted = blocks.transcribe(ours, folder / "a.wav", language="en", timestamps=True)
    lines = run(*asked).stdout.splitlines()
    first = wanted.segments[0]
    assert lines[0] == f"[{first.start:.2f} - {first.end:.2f}] " + " ".join(map(str, first.ids))
    assert len(lines) == len(wanted.segments)
    add_tokenizer(folder)
    wanted = blocks.transcribe(ours, folder / "a.wav", language="en", timestamps=True)
    assert run(*asked[:-1], "--json").exit_code == 0
    told = json.loads(run(*asked, "--json").stdout)
    assert told == wanted.to_json() and told["language"] == "en"
    words = [word for line in run(*asked).stdout.splitlines() for word in line.split()[3:]]
    assert words == str(wanted).split()


def test_what_goes_wrong_is_one_message(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_text("no sound")
    for arguments, word in (
        ((folder / "c.wav", "--model", folder), "no such file"),
        ((tmp_path / "b.wav", "--model", folder), "can't be read as sound"),
        ((folder / "a.wav", "--model", "packaged"), "doesn't hear"),
        ((folder / "a.wav", "--model", folder, "--language", "xx"), "known: de, en, fr"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and word in result.stderr and "Error: " in result.stderr
    assert run(folder / "a.wav").exit_code == 2
