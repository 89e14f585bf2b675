"""Routers: which experts a token goes to, and with what weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import GptOssConfig, PhimoeConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssTopKRouter
from transformers.models.phimoe.modeling_phimoe import PhimoeTopKRouter

from blocks import Spec
from blocks.errors import SpecError
from blocks.moe.sigmoid_router import SigmoidRouter
from blocks.moe.softmax_router import SoftmaxRouter
from blocks.moe.sparse_mixer_router import SparseMixerRouter
from blocks.moe.topk_router import TopKRouter

D, X = 12, 8


def scrambled(module: nn.Module) -> Any:
    for _, tensor in [*module.named_parameters(), *module.named_buffers()]:
        nn.init.normal_(tensor, std=0.5)
    return module.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gpt_oss_router(dtype: torch.dtype) -> None:
    config = GptOssConfig(hidden_size=D, num_local_experts=X, num_experts_per_tok=3)
    theirs = scrambled(GptOssTopKRouter(config))
    ours = TopKRouter(D, X, 3, bias=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(30, D, dtype=dtype)
    theirs, ours = theirs.to(dtype), ours.to(dtype)
    found = ours(x)  # as if all were in float32
    _, weights, chosen = theirs.float()(x.float())
    assert found[0].dtype == torch.float32 and torch.equal(found[1], chosen)
    torch.testing.assert_close(found[0], weights)


def test_phimoe_in_training() -> None:
    options = {"num_local_experts": X, "router_jitter_noise": 0.3, "input_jitter_noise": 0.0}
    config = PhimoeConfig(hidden_size=D, num_attention_heads=4, **options)
    theirs = scrambled(PhimoeTopKRouter(config)).train()
    ours = SparseMixerRouter(D, X, 2, jitter=0.3).train()
    ours.load_state_dict(theirs.state_dict())
    x, found = torch.randn(200, D), []
    for router in (theirs, ours):
        torch.manual_seed(3)
        *_, weights, chosen = router(x)
        grad = torch.autograd.grad(weights[:, 0].sum(), router.weight)[0]
        found.append((weights[:, 0], chosen, grad))
    assert torch.equal(found[0][1], found[1][1])
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-3, atol=0)  # 1/3 is 0.3333 there
    torch.testing.assert_close(found[1][2], found[0][2])
    assert found[1][0].lt(1 / 3).any(), "no expert but the likeliest was ever drawn"


def test_sparse_mixer_draws_by_probability_and_backpropagates_it() -> None:
    router = SparseMixerRouter(1, 3, 2, jitter=0.45).train()
    scores = torch.tensor([1.0, 0.7, 0.0])  # the last is too far from the best
    router.weight.data = scores[:, None]
    n = 20_000
    weights, chosen = router(torch.ones(n, 1))
    p = scores[:2].softmax(0)
    share = chosen[:, 0].bincount(minlength=3) / n
    torch.testing.assert_close(share, torch.tensor([p[0], p[1], 0.0]), rtol=0, atol=0.01)
    likeliest = chosen[:, 0] == 0
    torch.testing.assert_close(weights[likeliest, 0], p[0].expand(int(likeliest.sum())))
    whole = weights[~likeliest, 0] > p[1] * 0.9
    torch.testing.assert_close(whole.float().mean(), torch.tensor(0.25), rtol=0, atol=0.02)
    torch.testing.assert_close(weights[~likeliest, 0][~whole][0], p[1] / 3)
    assert (chosen[:, 0] != chosen[:, 1]).all()
    grad = torch.autograd.grad(weights[~likeliest, 0].sum(), router.weight)[0][:, 0]
    wanted = (~likeliest).sum() * p[0] * p[1] * torch.tensor([-1.0, 1.0, 0.0])
    torch.testing.assert_close(grad, wanted, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("kind", [SoftmaxRouter, SigmoidRouter])
def test_the_correction_chooses_but_does_not_weigh(kind: Any) -> None:
    router, x = scrambled(kind(D, X, 2, renormalize=False, correction=True)), torch.randn(20, D)
    router.correction.zero_()
    _, before = router(x)
    router.correction[5] = 10.0
    weights, after = router(x)
    assert (after == 5).any(-1).all() and not (before == 5).any(-1).all()
    logits = x @ router.weight.T
    scores = logits.softmax(-1) if kind is SoftmaxRouter else logits.sigmoid()
    torch.testing.assert_close(weights, scores.gather(-1, after))
    assert "correction" in router.state_dict() and "correction" not in dict(
        router.named_parameters()
    )


def test_the_correction_may_be_added_before_the_sigmoid() -> None:
    router = SigmoidRouter(1, X, 2, renormalize=False, by="logit")
    router.weight.data = torch.tensor([[9.0], [8.0], [1.0], *[[0.0]] * 5])
    router.correction[2] = 7.5
    weights, chosen = router(torch.ones(1, 1))
    assert chosen.tolist() == [[0, 2]]
    torch.testing.assert_close(weights, torch.tensor([[9.0, 1.0]]).sigmoid())


def test_shares_that_are_zero_are_no_weights() -> None:
    for kind in (SoftmaxRouter, SigmoidRouter):
        router = kind(1, X, 2, correction=True)
        router.weight.data = torch.tensor([[500.0], [500.0], *[[-500.0]] * 6])
        router.correction.copy_(torch.arange(X))
        weights, chosen = router(torch.ones(1, 1))
        assert chosen.tolist() == [[7, 6]] and weights.tolist() == [[0.0, 0.0]]


def test_groups_are_kept_by_their_best_one_or_two() -> None:
    p = torch.tensor([0.5, 0.01, 0.3, 0.29, 0.2, 0.1, 0.02, 0.03])
    best_one, best_two = SoftmaxRouter(1, X, 2, groups=4), SigmoidRouter(1, X, 2, groups=4)
    best_one.weight.data, best_two.weight.data = p.log()[:, None], p.logit()[:, None]
    assert sorted(best_one(torch.ones(1, 1))[1][0].tolist()) == [0, 1]
    assert sorted(best_two(torch.ones(1, 1))[1][0].tolist()) == [2, 3]


def test_a_bias_changes_the_choice() -> None:
    for kind in (SoftmaxRouter, TopKRouter):
        router, x = kind(D, X, 2, bias=True), torch.randn(20, D)
        router.bias.data[3] = 100.0
        assert (router(x)[1] == 3).any(-1).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_weights_are_at_least_float32_where_the_docs_say_so(dtype: torch.dtype) -> None:
    for kind in (SoftmaxRouter, SigmoidRouter):
        weights, _ = kind(D, X, 2).to(dtype)(torch.randn(3, D, dtype=dtype))
        assert weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


ERRORS: list[tuple[Any, int, str]] = [
    (SoftmaxRouter, X + 1, "9 experts can't be chosen among 8"),
    (Spec(SoftmaxRouter, groups=3), 2, "8 experts don't form 3 equal groups"),
    (Spec(SoftmaxRouter, groups=4, kept_groups=5), 2, "5 groups can't be kept of 4"),
    (Spec(SoftmaxRouter, groups=8), 2, "2 experts can't be chosen among 1"),
    (Spec(SoftmaxRouter, scale=0.0), 2, "scale"),
    (Spec(SigmoidRouter, groups=8), 2, "8 equal groups of at least 2"),
    (Spec(SigmoidRouter, scale=-1.0), 2, "scale"),
    (TopKRouter, X + 1, "9 experts can't be chosen among 8"),
    (SparseMixerRouter, 3, "2 experts, not 3"),
    (Spec(SparseMixerRouter, jitter=1.0), 2, "jitter"),
]


@pytest.mark.parametrize(("router", "top_k", "words"), ERRORS, ids=str)
def test_errors(router: Any, top_k: int, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        router(D, X, top_k)


@pytest.mark.parametrize("kind", [SoftmaxRouter, SigmoidRouter, SparseMixerRouter, TopKRouter])
def test_16_bits_round_no_score(kind: type) -> None:
    router = scrambled(kind(D, X, 2)).bfloat16()
    x = torch.randn(500, D, dtype=torch.bfloat16)
    narrow = router(x)
    wide = router.float()(x.float())
    assert narrow[0].dtype == torch.float32
    assert torch.equal(narrow[1], wide[1]) and torch.allclose(narrow[0], wide[0])
