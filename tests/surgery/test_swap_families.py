"""Every part of every family, exchanged for itself: all is copied, and not one bit changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import blocks
from blocks import swap
from tests.families.reference import families, first, load
from tests.surgery.families import DECODERS, SAMPLE, model_of, tokens_of

FAMILIES = [
    pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.slow]) for name in DECODERS
]


def check(family: str, where: Any) -> None:
    old, tokens = model_of(family), tokens_of(family)
    new, report = swap(old, where, lambda same: same)
    assert new.spec == old.spec and report.before == report.after
    assert not (report.converted or report.new or report.dropped), str(report)
    assert sum(f.parameters for f in report.copied) >= sum(p.numel() for p in old.parameters())
    with torch.no_grad():
        assert torch.equal(new(tokens), old(tokens))


@pytest.mark.parametrize("family", FAMILIES)
def test_all_parts_at_once(family: str) -> None:
    """The rule of each part is followed, down to its matrices."""
    check(family, "")


@pytest.mark.slow
@pytest.mark.parametrize("family", families("encoder", "pair", "hearer", "transcriber"))
def test_all_parts_of_what_reads_and_translates(family: str, tmp_path: Path) -> None:
    it = load(family, first(family), tmp_path)
    new, report = swap(it.ours, "", lambda same: same)
    assert not (report.converted or report.new or report.dropped), str(report)
    assert torch.equal(it.answer(new, it.tokens), it.answer(it.ours, it.tokens))


@pytest.mark.parametrize(
    "family", [SAMPLE[0], *(pytest.param(name, marks=pytest.mark.slow) for name in SAMPLE[1:])]
)
def test_each_kind_of_part(family: str) -> None:
    for part in dict.fromkeys(part.func for _, part in blocks.walk(model_of(family).spec)):
        check(family, part)
