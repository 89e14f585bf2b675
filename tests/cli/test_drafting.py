"""The command line: texts that are written with an assistant, conversations that are read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import blocks
from tests.cli.test_commands import fails, run


def test_an_assistant_changes_nothing_but_the_pace(checkpoint: Path) -> None:
    plain = run("generate", checkpoint, "hi hi", "--dtype", "float64").stdout
    for assistant in (["--lookup"], ["--assistant", checkpoint]):
        result = run("generate", checkpoint, "hi hi", "--dtype", "float64", *assistant)
        assert result.stdout == plain and "drafted tokens accepted" in result.stderr
        said = run("chat", checkpoint, "--max-new-tokens", "3", *assistant, given="a\nb\n")
        assert (
            said.stdout == run("chat", checkpoint, "--max-new-tokens", "3", given="a\nb\n").stdout
        )
    both = run("generate", checkpoint, "hi", "--lookup", "--assistant", checkpoint)
    fails(both, "choose one", code=2)
    fails(run("generate", checkpoint, "hi", "--lookup", "--beams", "2"), "several beams", code=2)


def test_a_conversation_is_read_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[blocks.PromptCache] = []
    plain = blocks.PromptCache

    def kept(*given: Any, **options: Any) -> blocks.PromptCache:
        made.append(plain(*given, **options))
        return made[-1]

    monkeypatch.setitem(vars(blocks), "PromptCache", kept)
    assert run("chat", checkpoint, "--max-new-tokens", "3", given="a\nb\n").exit_code == 0
    assert len(made) == 1 and made[0].reused >= len("<user>a<assistant>")
