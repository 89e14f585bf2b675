"""Batches of texts of other lengths: each row says what it says alone, wherever padding lies."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.properties.mixers import HYBRIDS, MIXERS, VOCAB, causal, encoder, pair

KINDS = (*MIXERS, *HYBRIDS)
models = cache(causal)
many = pytest.mark.parametrize("many", [8, pytest.param(100, marks=pytest.mark.slow)])
each = pytest.mark.parametrize("kind", KINDS)


@st.composite
def texts(draw: st.DrawFn, most: int = 9) -> list[list[int]]:
    """One to four rows of tokens."""
    token = st.integers(0, VOCAB - 1)
    return draw(st.lists(st.lists(token, min_size=1, max_size=most), min_size=1, max_size=4))


def padded(rows: list[list[int]], where: str, draw: st.DataObject) -> tuple[Tensor, Tensor]:
    """The rows side by side, and which of their tokens are real; padding is any token."""
    width = max(map(len, rows)) + draw.draw(st.integers(0, 3))
    real = torch.zeros(len(rows), width, dtype=torch.bool)
    for line, row in zip(real, rows, strict=True):
        if where == "holes":
            line[sorted(draw.draw(st.permutations(range(width)))[: len(row)])] = True
        else:
            line[slice(-len(row), None) if where == "left" else slice(len(row))] = True
    tokens = torch.randint(VOCAB, real.shape)
    tokens[real] = torch.tensor([token for row in rows for token in row])
    return tokens, real


def same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


PLACES = st.sampled_from(["left", "right", "holes"])


@many
@each
def test_a_row_is_what_it_is_alone(kind: str, many: int) -> None:
    @settings(max_examples=many)
    @given(texts(), PLACES, st.data())
    def check(rows: list[list[int]], where: str, data: st.DataObject) -> None:
        tokens, real = padded(rows, where, data)
        found = models(kind)(tokens, real)
        assert found.isfinite().all()
        for row, line, own in zip(rows, found, real, strict=True):
            same(line[own], models(kind)(torch.tensor([row]))[0])
        assert models(kind)(tokens, torch.zeros_like(real)).isfinite().all(), "nothing is real"
        turned = data.draw(st.permutations(range(len(rows))))
        same(models(kind)(tokens[turned], real[turned]), found[turned])

    check()


@many
@each
def test_any_chunks_are_one_pass(kind: str, many: int) -> None:
    """Prefill and decode of a ragged batch, with a row that is all padding for a while."""

    @settings(max_examples=many)
    @given(texts(), PLACES, st.data())
    def check(rows: list[list[int]], where: str, data: st.DataObject) -> None:
        tokens, real = padded(rows, where, data)
        model, width = models(kind), tokens.shape[1]
        cuts = sorted(data.draw(st.sets(st.integers(1, width), max_size=4)) | {width})
        chunks = [b - a for a, b in zip([0, *cuts], cuts, strict=False)]
        state = model.init_state(len(rows), data.draw(st.sampled_from([None, width])))
        parts = [
            model(part, own, state)
            for part, own in zip(tokens.split(chunks, 1), real.split(chunks, 1), strict=True)
        ]
        found = torch.cat(parts, 1)
        assert found.isfinite().all()
        for row, line, own in zip(rows, found, real, strict=True):
            same(line[own], model(torch.tensor([row]))[0])

    check()


@settings(max_examples=40)
@given(texts(), PLACES, st.data())
def test_an_encoder_reads_each_row_alone(
    rows: list[list[int]], where: str, data: st.DataObject
) -> None:
    model: Any = reading()
    tokens, real = padded(rows, where, data)
    found = model(tokens, real)
    assert found.isfinite().all()
    for row, line, own in zip(rows, found, real, strict=True):
        same(line[own], model(torch.tensor([row]))[0])
    assert model(tokens, torch.zeros_like(real)).isfinite().all(), "nothing is real"


@settings(max_examples=40)
@given(texts(), texts(), PLACES, PLACES, st.data())
def test_a_pair_writes_each_row_alone(
    sources: list[list[int]], targets: list[list[int]], one: str, other: str, data: st.DataObject
) -> None:
    model: Any = writing()
    rows = min(len(sources), len(targets))
    source, heard = padded(sources[:rows], one, data)
    target, real = padded(targets[:rows], other, data)
    found = model(source, target, heard, real)
    assert found.isfinite().all()
    for at in range(rows):
        alone = model(torch.tensor(sources[at : at + 1]), torch.tensor(targets[at : at + 1]))
        same(found[at, real[at]], alone[0])


reading, writing = cache(encoder), cache(pair)
