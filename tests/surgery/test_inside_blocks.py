"""Every public block alone: each of its names is met, and what was there changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks.surgery.inside.points import HEADED, INNER, READ, points_of, reason
from blocks.testing.subject import Subject, run
from tests.blocks.table import TABLE, build, public_blocks


def looked_into_first() -> list[Any]:
    """All of them; those that are seen from outside alone are slow."""
    known = {kind.__name__ for kind in (*INNER, *HEADED, blocks.GatedMLP, blocks.EncoderDecoder)}
    marks = {name: [] if name in known else [pytest.mark.slow] for name in public_blocks()}
    return [pytest.param(name, marks=marks[name]) for name in marks]


@pytest.mark.parametrize("name", looked_into_first())
def test_names_of_a_block(name: str) -> None:
    small = TABLE[name]
    it = Subject.of(build(name), small.x(), small.shape, small.checks.get("wide", False))
    points: Any = points_of(it.module)
    assert points

    def said() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return run(it.module, it.inputs)

    with blocks.capture(it.module, "**") as got:
        there = said()
    assert set(got) == set(points)
    tensors = {name: x for name, x in got.items() if isinstance(x, Tensor)}
    back = {name: x for name, x in tensors.items() if not reason(READ, points[name])}
    if back:
        with blocks.patch(it.module, back):
            again = said()
        assert all(map(torch.equal, again, there))
    plain = said()
    for one, other in zip(there, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
