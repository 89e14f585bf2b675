"""CANINE on longer texts, odd lengths, code points, and what its pooler reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CanineConfig, CanineModel

import blocks
from blocks import GenerationError
from tests.families.reference import TOLERANCE, scramble


@pytest.fixture(scope="module")
def pair(tmp_path_factory: Any) -> tuple[Any, Any]:
    """The reference with chunks of 128 characters, and ours of its files."""
    sizes = {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2}
    config = CanineConfig(
        **sizes, num_attention_heads=4, max_position_embeddings=512, num_hash_buckets=600
    )
    theirs, folder = CanineModel(config).eval(), tmp_path_factory.mktemp("canine")
    scramble(theirs)
    theirs.save_pretrained(folder)
    return theirs, blocks.from_pretrained(folder)


def codes(length: int, rows: int = 2) -> Tensor:
    """Code points from all over Unicode."""
    return torch.randint(0, 0x110000, (rows, length), generator=torch.Generator().manual_seed(6))


@torch.no_grad()
@pytest.mark.parametrize("length", [4, 5, 7, 8, 127, 128, 129, 130, 131, 132, 255, 300, 511])
def test_any_length(pair: tuple[Any, Any], length: int) -> None:
    theirs, ours = pair
    tokens = codes(length)
    types = torch.arange(length).expand(2, -1) % 3
    wanted = theirs(tokens, token_type_ids=types)
    answer, pooled = ours(tokens, types=types), ours.pool(tokens, types=types)
    spread = wanted.last_hidden_state.std()
    assert (answer - wanted.last_hidden_state).abs().max() <= TOLERANCE * spread
    assert (pooled - wanted.pooler_output).abs().max() <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("short", [1, 2, 3, 4, 9, 130])
def test_a_padded_row_is_as_alone(pair: tuple[Any, Any], side: str, short: int) -> None:
    _, ours = pair
    tokens, mask = codes(140), torch.ones(2, 140, dtype=torch.bool)
    mask[1] = torch.arange(140) >= 140 - short if side == "left" else torch.arange(140) < short
    both, alone = ours(tokens, mask), ours(tokens[1:, mask[1]])
    torch.testing.assert_close(both[1:, mask[1]], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both[:1], ours(tokens[:1]), rtol=1e-4, atol=1e-5)
    pooled = ours.pool(tokens, mask)[1:]
    torch.testing.assert_close(pooled, ours.pool(tokens[1:, mask[1]]), rtol=1e-4, atol=1e-5)


def test_code_points_beyond_unicode_are_refused(pair: tuple[Any, Any]) -> None:
    with pytest.raises(GenerationError, match="1114112"):
        pair[1](torch.tensor([[0x110000]]))
