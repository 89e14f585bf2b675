"""Weights in large pages: the same tensors with the same numbers, elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import blocks
from blocks.speed import pages

GIB = 2**20  # of 1024 bytes, as the system counts


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system with large pages and a GiB of memory, on which no model is too small."""
    if not hasattr(pages.mmap, "MADV_HUGEPAGE"):
        pytest.skip("this system has no large pages to ask for")
    for name in ("_SYSTEM", "_MEMORY", "_LIMIT"):
        monkeypatch.setattr(pages, name, tmp_path / name)
    monkeypatch.setattr(pages, "_LEAST", 1)
    (tmp_path / "_SYSTEM").write_text("always [madvise] never\n")
    (tmp_path / "_MEMORY").write_text(f"MemTotal: 9 kB\nMemAvailable: {GIB} kB\n")
    return tmp_path


def places(model: nn.Module) -> dict[str, int]:
    return {name: p.data_ptr() for name, p in model.named_parameters()}


def test_a_model_keeps_its_tensors_and_what_they_say(tmp_path: Path) -> None:
    model = blocks.from_pretrained(blocks.packaged())
    parameters, before, tokens = [*model.parameters()], places(model), torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        expected = model(tokens)
        assert pages.settle(model) > 10**6
        after = places(model)
        assert all(map(lambda a, b: a is b, parameters, model.parameters()))
        assert all(after[name] != before[name] for name in after)
        assert torch.equal(model(tokens), expected)
        assert torch.equal(copy.deepcopy(model)(tokens), expected)
        blocks.save_pretrained(model, tmp_path / "saved")
        assert torch.equal(blocks.from_pretrained(tmp_path / "saved")(tokens), expected)
    assert all(place % 64 == 0 for place in after.values())


def test_what_shares_its_memory_still_shares_it() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.data)  # another object on the same numbers
    model[2].weight = nn.Parameter(model[1].bias.data.new_zeros(16, 8)[:8])
    before = places(model)
    assert pages.settle(model)
    after = places(model)
    assert {name for name in after if after[name] == before[name]} == {"0.weight", "1.weight"}
    assert model[1].weight.data_ptr() == model[0].weight.data_ptr()


def test_a_table_that_is_also_the_head_moves_once() -> None:
    tied = nn.ModuleDict({"table": nn.Embedding(9, 8), "head": nn.Linear(8, 9, bias=False)})
    tied["head"].weight = tied["table"].weight
    assert pages.settle(tied) == 320  # 9 · 8 · 4 bytes, in lines of 64
    assert tied["head"].weight is tied["table"].weight
    assert pages.settle(nn.Embedding(9, 8)) == 0  # of a mere table, a step reads a row


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("_SYSTEM", "always madvise [never]"),
        ("_MEMORY", "MemAvailable: 1 kB"),
        ("_MEMORY", "nothing"),
        ("_LIMIT", "1000"),
    ],
)
def test_nothing_moves_without_pages_or_room(system: Path, file: str, text: str) -> None:
    (system / file).write_text(text)
    model = nn.Linear(64, 64)
    before = places(model)
    assert pages.settle(model) == 0
    assert places(model) == before


def test_a_limit_in_words_is_none(system: Path) -> None:
    (system / "_LIMIT").write_text("max\n")
    assert pages.settle(nn.Linear(64, 64))


def test_small_models_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LEAST", 2**20)
    assert pages.settle(nn.Linear(64, 64)) == 0
