"""Encoders and encoder–decoders: padding, types, memories, answers one token at a time."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import GenerationError
from tests.families.reference import TARGET, TOLERANCE, pairs

readers = pytest.mark.parametrize(("family", "variant"), pairs("encoder", "pair"))
both = pytest.mark.parametrize(("family", "variant"), pairs("pair"))


def half_real(it, side):
    """A mask that leaves the second row 25 of its tokens."""
    mask = torch.ones_like(it.tokens, dtype=torch.bool)
    short = it.tokens.shape[1] - 25
    mask[1, slice(0, short) if side == "left" else slice(25, None)] = False
    return mask


@readers
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(loaded, family, variant, side):
    it = loaded(family, variant)
    mask = half_real(it, side)
    ours = it.answer(it.ours, it.tokens.masked_fill(~mask, 0), mask)
    assert it.close(ours[:1], it.logits[:1]) <= TOLERANCE
    alone, row = it.answer(it.ours, it.tokens[1:, mask[1]]), ours[1:]
    if it.kind == "encoder" and row.dim() == 3:  # an answer for every token
        row = row[:, mask[1]]
    if row.shape == alone.shape:
        assert it.close(row, alone) <= TOLERANCE


@readers
def test_padding_is_what_it_is_to_the_reference(loaded, family, variant):
    it = loaded(family, variant)
    if it.variant.padded:
        pytest.skip(it.variant.padded)
    mask = half_real(it, "right")
    ours, theirs = it.answer(it.ours, it.tokens, mask), it.ask(it.tokens, mask=mask)
    if it.kind == "encoder" and ours.dim() == 3:
        ours, theirs = ours[mask], theirs[mask]
    if variant == "pretraining":
        pytest.skip("its answers hold those at the padding")
    assert it.close(ours, theirs) <= TOLERANCE


@both
@pytest.mark.parametrize("room", [None, TARGET])
def test_answers_from_memory(loaded, family, variant, room):
    it = loaded(family, variant)
    mask = half_real(it, "right")
    given = it.ours.given(it.tokens, mask)
    state = given.init_state(2, room)
    with torch.no_grad():
        parts = [given(part, state=state) for part in it.target.split([3, 1, 1, TARGET - 5], 1)]
    assert it.close(torch.cat(parts, 1), it.answer(it.ours, it.tokens, mask)) <= TOLERANCE


@both
def test_selected_rows_take_their_sources_along(loaded, family, variant):
    it = loaded(family, variant)
    given = it.ours.given(it.tokens)
    state = given.init_state(2)
    with torch.no_grad():
        given(it.target[:, :4], state=state)
        rows = torch.tensor([1, 0, 1])
        ours = given(it.target[rows, 4:5], state=state.select(rows))
    wanted = it.answer(it.ours, it.tokens)[rows, 4:5]
    assert it.close(ours, wanted) <= TOLERANCE


@both
def test_greedy_answers(loaded, family, variant):
    it = loaded(family, variant)
    if it.variant.generates:
        pytest.skip(it.variant.generates)
    first = it.reference.config.decoder_start_token_id
    tokens, given = torch.full((2, 1), first), it.ours.given(it.tokens)
    for _ in range(8):
        with torch.no_grad():
            tokens = torch.cat([tokens, given(tokens)[:, -1:].argmax(-1)], 1)
    ours = blocks.generate(it.ours, it.tokens, max_new_tokens=8, stop=(), start=first, rules=())
    theirs = it.reference.generate(
        it.tokens, max_new_tokens=8, do_sample=False, num_beams=1, eos_token_id=None
    )
    assert tokens.tolist() == theirs.tolist()
    assert ours.tolist() == theirs.tolist()


@both
def test_a_target_of_another_batch_is_refused(loaded, family, variant):
    it = loaded(family, variant)
    with pytest.raises(GenerationError, match="2 sources"):
        it.ours(it.tokens, it.target[:1])
