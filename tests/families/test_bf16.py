"""In bfloat16 ours is as near the truth as the reference is: casts stand where they should.

The truth is our model in float64 with the same weights, rounded to bfloat16 beforehand.
"""

from __future__ import annotations

import pytest
import torch

import blocks
from tests.families.ageing import Tensors, aged
from tests.families.reference import TOKENS, families, first

MEAN, LARGEST = 1.1, 1.5  # our error, as a multiple of the reference's
PROMPTS, SEEDS = 96, 3  # the largest of few is the luck of one token, sent to another expert


def _rounded(tensors: Tensors) -> Tensors:
    return {name: tensor.bfloat16().to(tensor.dtype) for name, tensor in tensors.items()}


@pytest.mark.slow
@pytest.mark.parametrize("family", families("decoder"))
def test_bfloat16_is_as_near_the_truth_as_the_reference(loaded, tmp_path, family):
    it = loaded(family, first(family))
    case, folder = it.case, aged(it.folder, tmp_path / "rounded", tensors=_rounded)
    # Attention as in the fp32 tests; the reference's other way of running experts wants rows of
    # a multiple of 16 bytes.
    how = {"attn_implementation": case.attention, "experts_implementation": "eager"}
    wide, narrow = (
        case.model.from_pretrained(folder, dtype=dtype, **how).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    truth, ours = (
        blocks.from_pretrained(folder, dtype=dtype) for dtype in (torch.float64, torch.bfloat16)
    )
    errors: dict[str, list[torch.Tensor]] = {"ours": [], "theirs": []}
    with torch.no_grad():
        exact = truth(it.tokens)
        assert it.close(exact, wide(it.tokens, use_cache=False).logits) <= it.case.tolerance
        for seed in range(SEEDS):
            draw = torch.Generator().manual_seed(seed)
            shape = (PROMPTS, TOKENS)
            tokens = torch.randint(0, case.vocab, shape, generator=draw)
            exact, found = truth(tokens), ours(tokens)
            theirs = narrow(tokens, use_cache=False).logits
            assert exact.dtype == torch.float64
            assert found.dtype == torch.bfloat16  # some of theirs widen their logits
            errors["ours"].append((found - exact).abs())
            errors["theirs"].append((theirs - exact).abs())
    ours_off, theirs_off = (torch.cat(parts) for parts in errors.values())
    assert ours_off.mean() <= MEAN * theirs_off.mean()
    assert ours_off.max() <= LARGEST * theirs_off.max()
