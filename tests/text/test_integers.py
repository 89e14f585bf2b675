"""The example that counts GPT-2's integers: its figures, its picture, its merges."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from transformers import GPT2Tokenizer

FILE = Path(__file__).parents[2] / "examples" / "integers.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("integers_example", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ranks(example: Any) -> Path:
    found = example.find_ranks()
    if found is None:
        pytest.skip("openai-whisper, which carries GPT-2's vocabulary, is not installed")
    return found


def test_pairs_are_found_from_ranks(example: Any) -> None:
    ranks = {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"ab": 4, b"abc": 5, b"abcab": 6}
    pairs = {token: example.last_pair(token, ranks) for token in ranks if len(token) > 1}
    assert pairs == {
        b"bc": (b"b", b"c"),
        b"ab": (b"a", b"b"),
        b"abc": (b"a", b"bc"),
        b"abcab": (b"abc", b"ab"),
    }


def test_a_picture(example: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    example.draw([(1,) * (1 + number % 3) for number in range(10_000)], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_without_the_vocabulary(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "find_ranks", lambda: None)
    result = CliRunner().invoke(example.main)
    assert result.exit_code == 1 and "openai-whisper" in result.output


@pytest.mark.slow
def test_the_figures(example: Any, ranks: Path) -> None:
    result = CliRunner().invoke(example.main, ["--ranks", str(ranks)])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "0 to 520 are one token each; 521 is the first that is not",
        "907 of 0 to 9999 are one token",
        "four digits are split into tokens of",
        "     2 + 2: 5807",
        "     1 + 3: 2538",
        "     3 + 1: 538",
        "         4: 88",
        " 1 + 2 + 1: 29",
    ]


@pytest.mark.slow
def test_ids_are_gpt2s(example: Any, ranks: Path) -> None:
    ours = example.make_tokenizer(example.read_ranks(ranks))
    assert ours.vocab == 50_257 and ours.eos == 50_256
    assert ours.encode("Hello world") == [15496, 995]
    vocab = {ours.token(id): id for id in range(ours.vocab)}
    merges = [tuple(line) for line in _merges(ours)]
    theirs = GPT2Tokenizer(vocab=vocab, merges=merges)
    for text in (
        "Hello, world! 12345 näive 你好 😀",
        "  def f(x):\n\treturn x  ",
        "don't we'll 1,000",
    ):
        assert ours.encode(text) == theirs(text).input_ids


def _merges(tokenizer: Any) -> list[list[str]]:
    merges = json.loads(tokenizer.engine.to_json())["model"]["merges"]
    return [pair if isinstance(pair, list) else pair.split(" ") for pair in merges]
