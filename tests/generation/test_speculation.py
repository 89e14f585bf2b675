"""Speculation: whatever is drafted, the text is the one that the plain loop writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import blocks
from blocks import (
    DraftModel,
    GenerationError,
    PromptCache,
    PromptLookup,
    RoPE,
    Spec,
    Window,
    generate,
    stream,
)
from blocks.generation.assistant import Assistant
from blocks.positions.scaling import DynamicScaling
from tests.families.reference import case_of, first
from tests.generation.test_greedy import KINDS, LONG, PROMPTS
from tests.generation.tiny import VOCAB, Scripted, tiny

DYNAMIC = {"qk": (Spec(RoPE, theta=50.0, scaling=DynamicScaling(2.0, 9)),)}
ALL = {**KINDS, "dynamic": DYNAMIC}


@cache
def scrambled(kind: str) -> Any:
    return tiny(**ALL[kind])


class Drawn(Assistant):
    """Drafts what the text will be, spoilt here and there: `errors` says where."""

    def __init__(self, wanted: Sequence[Sequence[int]], seed: int, right: float):
        super().__init__(6)
        self.wanted, self.right = wanted, right
        self.dice = torch.Generator().manual_seed(seed)

    @contextmanager
    def begin(self, request: Any, sampler: Any) -> Iterator[Drawn]:
        yield self

    def propose(self, lines: Any, limits: Sequence[int]) -> list[list[int]]:
        found = []
        for line, most in zip(lines, limits, strict=True):
            many = int(torch.randint(0, 7, (1,), generator=self.dice))
            true = self.wanted[line.row][line.draft.new :][: min(many, most)]
            spoilt = torch.rand(len(true), generator=self.dice) > self.right
            found.append([(t + int(s)) % VOCAB for t, s in zip(true, spoilt, strict=True)])
        return found

    def select(self, rows: Tensor) -> None:
        pass


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**20), right=st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_any_draft_gives_the_same_text(kind: str, seed: int, right: float) -> None:
    model = scrambled(kind)
    plain = generate(model, PROMPTS, max_new_tokens=14, stop=[3, 8])
    drafts = Drawn(plain[:, 7:].tolist(), seed, right)
    found = generate(model, PROMPTS, max_new_tokens=14, stop=[3, 8], assistant=drafts)
    assert torch.equal(found, plain)
