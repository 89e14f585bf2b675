"""Reformer's encoders: texts of all lengths, batches that are padded, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import blocks
from blocks import ConfigError
from tests.families import ageing
from tests.families.reference import TOLERANCE, case_of

VARIANTS = [name for name, one in case_of("reformer").variants.items() if one.kind == "encoder"]
LENGTHS = (1, 7, 8, 9, 15, 16, 17, 24, 25, 33, 40, 63)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_batch_of_as_many_chunks_is_the_reference_s(loaded: Any, variant: str) -> None:
    it = loaded("reformer", variant)
    mask = torch.ones_like(it.tokens, dtype=torch.bool)
    mask[1, 35:] = False  # filled up to 40 or 48 like the other row, with all sizes of chunks
    ours, theirs = it.answer(it.ours, it.tokens, mask), it.ask(it.tokens, mask=mask)
    if ours.dim() == 3:
        ours, theirs = ours[mask], theirs[mask]
    assert it.close(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("variant", ["masked", "masked, nothing before", "bare"])
def test_texts_of_all_lengths(loaded: Any, variant: str, length: int) -> None:
    it = loaded("reformer", variant)
    draw = torch.Generator().manual_seed(length)
    tokens = torch.randint(0, 97, (2, length), generator=draw)
    assert it.close(it.answer(it.ours, tokens), it.ask(tokens)) <= TOLERANCE


@pytest.mark.parametrize("variant", ["masked, three rounds", "masked, chunks of other lengths"])
def test_rows_of_a_batch_are_circles_of_their_own(loaded: Any, variant: str) -> None:
    it = loaded("reformer", variant)
    lengths = torch.tensor([33, 40, 15, 7, 1])
    tokens = torch.randint(0, 97, (5, 40), generator=torch.Generator().manual_seed(5))
    for mask in (torch.arange(40) < lengths[:, None], torch.arange(40) >= 40 - lengths[:, None]):
        together = it.answer(it.ours, tokens, mask)
        for row, text, known in zip(together, tokens, mask, strict=True):
            alone = it.answer(it.ours, text[None, known])
            assert it.close(row[None, known], alone) <= TOLERANCE


def test_no_key_of_a_circle_counts_twice(loaded: Any) -> None:
    """Where the reference counts the chunk before and after twice, which is the same of two."""
    it = loaded("reformer", "masked, local layers alone")  # two chunks before
    tokens = it.tokens[:, :16]
    once = blocks.from_pretrained(
        it.folder,
        rewrite=lambda spec: blocks.rewrite(
            spec, blocks.CircleAttention, lambda part: blocks.replace(part, before=1)
        ),
    )
    assert it.close(it.answer(it.ours, tokens), it.answer(once, tokens)) <= TOLERANCE
    assert it.close(it.answer(it.ours, tokens), it.ask(tokens)) > 0.01


@pytest.mark.parametrize(
    ("variant", "name", "fields"),
    [
        ("masked", "is_decoder", {"is_decoder": True}),
        ("plain", "is_decoder", {"is_decoder": False}),
        ("plain", "local_num_chunks_after", {"local_num_chunks_after": 1}),
        ("masked", "num_buckets", {"num_buckets": None}),
    ],
)
def test_what_does_not_fit_the_task(
    loaded: Any, tmp_path: Any, variant: str, name: str, fields: dict[str, Any]
) -> None:
    it = loaded("reformer", variant)
    folder = ageing.aged(it.folder, tmp_path / "other", config=lambda data: data | fields)
    with pytest.raises(ConfigError) as caught:
        blocks.from_pretrained(folder)
    assert caught.value.field == name
