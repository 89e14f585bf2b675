"""RWKV where the reference can't take a batch: generation, a row at a time, and its halvings."""

from __future__ import annotations

import copy

import pytest
import torch

import blocks
from blocks.families import family_of
from blocks.hub.config import Config
from tests.families.reference import case_of

VARIANTS = [name for name, it in case_of("rwkv").variants.items() if name != "narrow"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_row_is_continued_as_by_the_reference(loaded, variant):
    it = loaded("rwkv", variant)
    prompts = [it.tokens[0, :20], it.tokens[1, :13]]
    ours = blocks.generate(it.ours, [p.tolist() for p in prompts], max_new_tokens=8, stop=())
    for row, prompt in zip(ours, prompts, strict=True):
        theirs = it.reference.generate(prompt[None], max_new_tokens=8, do_sample=False)
        assert row[-theirs.shape[1] :].tolist() == theirs[0].tolist()


def test_without_halvings_the_reference_in_training_is_ours_with_one_eps(loaded):
    """What `rescale_every` changes at inference is the eps of norms and nothing else."""
    it = loaded("rwkv", "halved")
    training = copy.deepcopy(it.reference).train()
    with torch.no_grad():
        whole = training(it.tokens, use_cache=False).logits
    one = {"layer_norm_epsilon": 0.05, "rescale_every": 0}

    def unhalved(spec):
        return family_of("rwkv").spec(Config({**family_of("rwkv").config(spec), **one}))

    plain = blocks.from_pretrained(it.folder, rewrite=unhalved)
    assert it.close(it.answer(plain, it.tokens), whole) <= it.case.tolerance
    assert it.close(whole, it.logits) > 1e-3
