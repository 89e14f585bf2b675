"""Every option matters: another value breaks parity with the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import blocks
from blocks import BlocksError
from blocks.families import family_of
from tests.families.reference import case_of, families, named

BREAKS = 1e-3  # of the logits' standard deviation

# Fields that say sizes, which every tensor's shape tells as well, or that act in training alone.
SHAPES = {
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_key_value_heads",
    "num_local_experts",
    "tie_word_embeddings",
    "vocab_size",
}
TRAINING = {"attention_dropout", "embd_pdrop", "hidden_dropout", "resid_pdrop"}


def unconverted(ours: Any, other: Any) -> Any:
    """Another model with the same numbers in it, which `rewrite=` would convert for it."""
    held = blocks.addresses(ours)
    with torch.no_grad():
        for address, tensor in blocks.addresses(other.to(next(ours.parameters()).dtype)).items():
            if address in held and held[address].shape == tensor.shape:
                tensor.copy_(held[address])
    return other.eval()


@pytest.mark.parametrize(("family", "name"), named("mutations"))
def test_another_value_breaks_parity(loaded, family, name):
    variant, change = case_of(family).mutations[name]
    it = loaded(family, variant)
    other = unconverted(it.ours, change(it.ours.spec)())
    assert it.close(it.answer(other, it.tokens), it.logits) > BREAKS


@pytest.mark.parametrize("family", families())
def test_every_field_is_tried(loaded, family):
    """Each field that a family writes is changed by some mutation, or needs none."""
    case = case_of(family)

    def write(spec):
        fields = dict(family_of(family).config(spec))
        return fields | fields.pop(case.inside, {})

    fields, tried = set(), set()
    for variant in case.variants:
        fields |= set(write(loaded(family, variant).ours.spec))
    for variant, change in case.mutations.values():
        spec = loaded(family, variant).ours.spec
        try:
            before, after = write(spec), write(change(spec))
        except (BlocksError, KeyError, IndexError, AttributeError):
            continue  # the family has no word for what was changed
        tried |= {name for name in before | after if before.get(name) != after.get(name)}
    free = {case.field_of(name) for name in SHAPES | TRAINING} | TRAINING
    assert fields - tried <= free | case.untried
