"""The example that learns to write by hand: what it learns from, and what it draws."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

FILE = Path(__file__).parents[2] / "examples" / "handwriting.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("handwriting_example", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_letters_are_strokes_of_small_moves(example: Any) -> None:
    torch.manual_seed(0)
    moves = example.write("tie")
    assert moves[:, 2].sum() == 5  # two, two and one
    assert moves[-1, 2] == 1 and set(moves[:, 2].tolist()) == {0.0, 1.0}
    assert 0.5 < float(moves[:, :2].std()) < 2
    first, second = (example.write("tie")[:, :2].sum(0) for _ in range(2))
    assert not torch.equal(first, second)
    assert float(first[0]) > 2 * example.SCALE * 0.8  # to the right


def test_words_are_padded_behind_their_ends(example: Any) -> None:
    strokes, text, mask, text_mask = example.draw(6)
    assert strokes.shape == (*mask.shape, 3) and text.shape == text_mask.shape
    for moves, real, letters, there in zip(strokes, mask, text, text_mask, strict=True):
        word = [example.ALPHABET[i] for i in letters[there].tolist()]
        count = sum(len(example.LETTERS[letter]) for letter in word)
        assert int(moves[real][:, 2].sum()) == count and not moves[~real].any()


def test_a_few_updates_lower_the_loss(example: Any) -> None:
    torch.manual_seed(0)
    losses = example.learn(example.make_model(16), 12, rows=8, rate=1e-2)
    assert sum(losses[-3:]) < sum(losses[:3]) - 1.5


@pytest.mark.slow
def test_it_learns_and_draws(example: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need blocks[plot]")
    where = tmp_path / "written.svg"
    options = ["--steps", "30", "--hidden", "32", "--text", "vole", "--plot", str(where)]
    result = CliRunner().invoke(example.main, options)
    assert result.exit_code == 0, result.output
    first, last = map(float, re.findall(r"(-?\d+\.\d\d) at", result.output))
    assert last < first - 0.8
    assert where.read_text(encoding="utf-8").count("<path") > 20
    refused = CliRunner().invoke(example.main, ["--text", "Zoo"])
    assert refused.exit_code == 2 and "--text" in refused.output
