"""MPT with slopes that end elsewhere: the reference can compute them, and does not use them."""

from __future__ import annotations

import functools

import pytest
import torch

import blocks
from tests.families.reference import TOKENS, TOLERANCE, Variant, build, case_of


@pytest.mark.parametrize("heads", [4, 6])
@pytest.mark.parametrize("most", [4, 11])
def test_slopes_that_end_elsewhere(tmp_path, heads, most):
    case = case_of("mpt")
    inner = {**case.base.get("attn_config", {}), "alibi_bias_max": most}
    options = {"n_heads": heads, "d_model": 8 * heads, "attn_config": inner}
    reference = build(case, Variant(options))
    reference.save_pretrained(tmp_path)
    ours = blocks.from_pretrained(tmp_path)
    tokens = torch.randint(0, case.vocab, (2, TOKENS), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        eight = reference(tokens, use_cache=False).logits
        body = reference.transformer
        told = functools.partial(body.build_mpt_alibi_tensor, alibi_bias_max=most)
        body.build_mpt_alibi_tensor = told  # its own function, told what the config says
        theirs = reference(tokens, use_cache=False).logits
        found = ours(tokens)
    assert (found - theirs).abs().max() <= TOLERANCE * theirs.std()
    assert (eight - theirs).abs().max() > 0.01 * theirs.std()
    blocks.export(ours, tmp_path / "out")
    assert blocks.from_pretrained(tmp_path / "out").spec == ours.spec
