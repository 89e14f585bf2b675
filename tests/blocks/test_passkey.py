"""The example that trains Infini-attention to find a key which left its window long ago."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

FILE = Path(__file__).parents[2] / "examples" / "passkey.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("passkey_example", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_key_is_four_windows_from_the_question(example: Any) -> None:
    places = torch.arange(example.PLACES)
    texts, keys = example.draw(places)
    assert torch.equal(texts[places, places], keys)
    assert bool(((texts >= example.WORDS) & (texts < example.ASK)).sum(1).eq(1).all())
    assert bool((texts[:, -1] == example.ASK).all()) and example.PLACES == 100
    apart = (texts.shape[1] - 1) // example.SEGMENT - places // example.SEGMENT
    assert int(apart.min()) == 4


def test_a_closed_memory_leaves_the_window(example: Any) -> None:
    model = example.make_model()
    example.close_memory(model)
    texts, _ = example.draw(torch.arange(8))
    others = texts.clone()
    others[:, : -2 * example.SEGMENT] = 0
    assert torch.equal(model(texts, last=True), model(others, last=True))


@pytest.mark.slow
def test_the_key_is_found_through_the_memory_alone(example: Any) -> None:
    result = CliRunner().invoke(example.main, [])
    assert result.exit_code == 0, result.output
    found, closed = map(float, re.findall(r"(\d+\.\d)%$", result.output, re.MULTILINE)[-2:])
    assert found >= 95 and closed <= 10, result.output
