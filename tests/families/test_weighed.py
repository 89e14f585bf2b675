"""What inspect and explain count of a family's file is what its headers say, and what loads."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import pytest

import blocks
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.source import resolve
from blocks.models.places import addresses, buffers
from tests.families.reference import Loaded, families, first


@pytest.mark.parametrize("family", families())
def test_totals_are_those_of_the_headers(family: str, loaded: Callable[[str, str], Loaded]) -> None:
    one = loaded(family, first(family))
    report = blocks.inspect(one.folder)
    found = blocks.explain(report)
    assert report.fits
    there = open_checkpoint(resolve(one.folder)).entries
    rows = [row for row in report.tensors if row.twin is None]
    assert there.keys() == {row.name for row in report.tensors} | set(report.ignored)
    used = {row.name: there[row.name] for row in rows}
    saved = buffers(one.ours)
    kept = sum(row.parameters for row in rows if row.addresses[0] in saved)
    assert found.parameters + kept == sum(prod(entry.shape) for entry in used.values())
    assert found.nbytes == sum(entry.nbytes for entry in used.values())
    # And these are what is loaded.
    assert found.parameters == sum(p.numel() for p in one.ours.parameters())
    live = {id(t): t.numel() * t.element_size() for t in addresses(one.ours).values()}
    assert found.nbytes == blocks.explain(one.ours).nbytes == sum(live.values())
    assert report.memory()["weights"] == found.nbytes
