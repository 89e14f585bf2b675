"""Global tokens that a call names, and lengths of all kinds, against the reference."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import GenerationError
from tests.families.reference import TOLERANCE

SOME = torch.tensor([[0, 5, 30], [0, 1, 17]])
NAMES = ["plain", "one window", "bare", "classes", "spans", "token classes"]


def both(it, tokens, marks, mask=None):
    masked = {} if mask is None else {"attention_mask": mask.long()}
    with torch.no_grad():
        theirs = it.reference(tokens, global_attention_mask=marks.long(), **masked)
        ours = it.ours(tokens, mask, global_mask=marks)
    return ours, it.variant.answer(theirs)


@pytest.mark.parametrize("variant", NAMES)
@pytest.mark.parametrize("length", [40, 33, 32, 31])
def test_global_tokens(loaded, variant, length):
    it = loaded("longformer", variant)
    tokens = it.tokens[:, :length]
    marks = torch.zeros_like(tokens, dtype=torch.bool).scatter(1, SOME % length, True)
    ours, theirs = both(it, tokens, marks)
    assert it.close(ours, theirs) <= TOLERANCE
    with torch.no_grad():
        other = it.ours(tokens, global_mask=torch.zeros_like(marks))
    assert it.close(other, theirs) > 1e-3


@pytest.mark.parametrize("variant", ["plain", "bare", "classes"])
def test_global_tokens_in_a_padded_batch(loaded, variant):
    it = loaded("longformer", variant)
    mask = torch.arange(40) < torch.tensor([[40], [27]])
    marks = torch.zeros_like(mask).scatter(1, SOME, True)
    tokens = it.tokens.masked_fill(~mask, 1)
    ours, theirs = both(it, tokens, marks, mask)
    kept = mask if ours.dim() == 3 else torch.ones(2, dtype=torch.bool)
    assert it.close(ours[kept], theirs[kept]) <= TOLERANCE
    alone, _ = both(it, tokens[1:, :27], marks[1:, :27])
    row = ours[1:, :27] if ours.dim() == 3 else ours[1:]
    assert it.close(row, alone) <= TOLERANCE


def test_only_some_rows_have_global_tokens(loaded):
    it = loaded("longformer", "plain")
    marks = torch.zeros(2, 40, dtype=torch.bool)
    marks[1, [3, 9, 39]] = True
    ours, theirs = both(it, it.tokens, marks)
    assert it.close(ours, theirs) <= TOLERANCE
    assert it.close(ours[:1], it.logits[:1]) <= TOLERANCE


def test_a_question_without_an_end_is_refused(loaded):
    it = loaded("longformer", "spans")
    with pytest.raises(GenerationError, match="global_mask"):
        it.ours(it.tokens[:, :10])
    assert it.ours(it.tokens[:, :10], global_mask=torch.ones(2, 10)).shape == (2, 10, 2)


def test_a_mask_of_another_shape_is_refused(loaded):
    it = loaded("longformer", "plain")
    with pytest.raises(GenerationError, match="global_mask"):
        it.ours(it.tokens, global_mask=torch.ones(2, 39, dtype=torch.bool))


def test_a_spec_says_which_tokens_see_all(loaded):
    spec = loaded("longformer", "spans").ours.spec
    assert spec.keywords["marks"] == blocks.BeforeToken(2)
    assert loaded("longformer", "classes").ours.spec.keywords["marks"] == blocks.FirstToken()
    assert loaded("longformer", "plain").ours.spec.keywords["marks"] is None


@pytest.mark.parametrize("padded", [False, True])
def test_a_source_with_global_tokens(loaded, padded):
    it = loaded("led", "plain")
    mask = torch.arange(40) < torch.tensor([[40], [27 if padded else 40]])
    marks = torch.zeros_like(mask).scatter(1, SOME, True) & mask
    with torch.no_grad():
        options = {"attention_mask": mask.long(), "decoder_input_ids": it.target}
        theirs = it.reference(it.tokens, global_attention_mask=marks.long(), **options).logits
        ours = it.ours(it.tokens, it.target, mask, global_mask=marks)
        given = it.ours.given(it.tokens, mask, global_mask=marks)
        again = given(it.target)
    assert it.close(ours, theirs) <= TOLERANCE
    assert torch.equal(ours, again)
    assert it.close(it.ours(it.tokens, it.target, mask), theirs) > 1e-3
