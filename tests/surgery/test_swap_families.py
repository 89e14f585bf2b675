"""Every part of every family, exchanged for itself: all is copied, and not one bit changes."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import swap
from tests.surgery.families import DECODERS, SAMPLE, model_of, tokens_of

FAMILIES = [
    pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.slow]) for name in DECODERS
]


@pytest.mark.parametrize("family", FAMILIES)
def test_with_itself(family: str) -> None:
    old, tokens = model_of(family), tokens_of(family)
    with torch.no_grad():
        logits = old(tokens)
    parts = dict.fromkeys(part.func for _, part in blocks.walk(old.spec))
    for part in parts:
        new, report = swap(old, part, lambda same: same)
        assert new.spec == old.spec and report.before == report.after
        assert not (report.converted or report.new or report.dropped), f"{part}: {report}"
        assert sum(f.parameters for f in report.copied) >= sum(p.numel() for p in old.parameters())
        with torch.no_grad():
            assert torch.equal(new(tokens), logits), part
