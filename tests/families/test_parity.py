"""Ours gives the reference's logits: alone, in padded batches, from memory, and generating."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import DynamicScaling
from blocks.families import model_types
from tests.families.reference import (
    CASES,
    ELSEWHERE,
    file_of,
    pairs,
    plain_first,
    scalings,
    steady,
)

every = pytest.mark.parametrize(("family", "variant"), pairs())
decoders = pytest.mark.parametrize(("family", "variant"), pairs("decoder"))
costly = pytest.mark.parametrize(("family", "variant"), plain_first("decoder"))


@pytest.mark.parametrize("family", model_types())
def test_every_family_has_a_case(family):
    if family in ELSEWHERE:
        assert (CASES.parent / f"test_{file_of(family)}.py").exists()
        return
    assert (CASES / f"{file_of(family)}.py").exists(), f"write tests/families/cases/{family}.py"


@every
def test_logits(loaded, record, family, variant):
    it = loaded(family, variant)
    difference = it.close(it.answer(it.ours, it.tokens), it.logits)
    assert it.logits.std() > 0.1
    assert difference <= it.case.tolerance
    record(family, variant, difference)


@costly
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(loaded, family, variant, side):
    it = loaded(family, variant)
    length, short = it.tokens.shape[1], 25
    mask = torch.ones_like(it.tokens, dtype=torch.bool)
    padding = slice(0, length - short) if side == "left" else slice(short, length)
    mask[1, padding] = False
    with torch.no_grad():
        ours = it.ours(it.tokens.masked_fill(~mask, 0), mask)
    assert it.close(ours[:1], it.logits[:1]) <= it.case.tolerance
    alone = it.ask(it.tokens[1:, mask[1]])
    assert it.close(ours[1:, mask[1]], alone) <= it.case.tolerance


@every
def test_a_batch_is_its_rows(loaded, family, variant):
    it = loaded(family, variant)
    rows = torch.cat([it.answer(it.ours, row[None]) for row in it.tokens])
    assert it.close(rows, it.logits) <= it.case.tolerance


@costly
@pytest.mark.parametrize("room", [None, 40])
def test_chunks_from_memory(loaded, family, variant, room):
    it = loaded(family, variant)
    length = steady(it.ours.spec)
    tokens = it.tokens[:, :length]
    state = it.ours.init_state(2, room)
    with torch.no_grad():
        parts = [it.ours(part, state=state) for part in tokens.split([5, 1, 1, length - 7], 1)]
        whole = it.ours(tokens)
    assert it.close(torch.cat(parts, 1), whole) <= it.case.tolerance


@costly
def test_ragged_chunks_from_memory(loaded, family, variant):
    it = loaded(family, variant)
    length = steady(it.ours.spec)
    tokens = it.tokens[:, :length]
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[1, :4] = False
    state = it.ours.init_state(2)
    with torch.no_grad():
        whole = it.ours(tokens, mask)
        parts = [it.ours(tokens[:, :9], mask[:, :9], state)]
        parts += [it.ours(tokens[:, i : i + 1], None, state) for i in range(9, length)]
    assert it.close(torch.cat(parts, 1)[mask], whole[mask]) <= it.case.tolerance


@decoders
def test_generation(loaded, family, variant):
    it = loaded(family, variant)
    if it.variant.generates:
        pytest.skip(it.variant.generates)
    prompt = it.tokens[:, : it.variant.prompt]
    ours = blocks.generate(it.ours, prompt, max_new_tokens=8, stop=())
    it.ask(prompt[:, :1])  # forgets the longest sequence
    theirs = it.reference.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False
    )
    assert ours.tolist() == theirs.tolist()


@costly
def test_generation_is_the_most_likely_token_each_time(loaded, family, variant):
    it = loaded(family, variant)
    moving = any(isinstance(scaling, DynamicScaling) for scaling in scalings(it.ours.spec))
    start = steady(it.ours.spec) - 8 if moving else it.variant.prompt
    rows = [it.tokens[0, :start], it.tokens[1, : start - 4]]
    ours = blocks.generate(it.ours, [row.tolist() for row in rows], max_new_tokens=8, stop=())
    for row, prompt in zip(ours, rows, strict=True):
        tokens = prompt[None]
        for _ in range(8):
            with torch.no_grad():
                tokens = torch.cat([tokens, it.ours(tokens)[:, -1:].argmax(-1)], 1)
        assert row[-tokens.shape[1] :].tolist() == tokens[0].tolist()
