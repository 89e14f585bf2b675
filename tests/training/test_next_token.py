"""The loss of a language model is the cross entropy of its logits, which are never all there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from blocks import (
    AdaptiveHead,
    BlocksError,
    CausalLM,
    GatedMLP,
    GenerationError,
    GQAttention,
    LMHead,
    Residual,
    RMSNorm,
    Spec,
    next_token_loss,
)
from blocks.ops import crossentropy
from blocks.ops.crossentropy import linear_cross_entropy
from blocks.training import next_token

VOCAB = 301
HEADS: dict[str, Any] = {
    "plain": LMHead,
    "bias": Spec(LMHead, bias=True),
    "scale": Spec(LMHead, scale=0.3),
    "cap": Spec(LMHead, cap=0.5),
    "all": Spec(LMHead, bias=True, scale=2.0, cap=0.7, width=5),
    "adaptive": Spec(AdaptiveHead, cutoffs=(20, 90), div=2),
    "of torch": torch.nn.Linear,
}


def made(head: Any = LMHead, **options: Any) -> CausalLM:
    attention = Spec(Residual, inner=Spec(GQAttention, heads=2), norm_in=RMSNorm)
    mlp = Spec(Residual, inner=Spec(GatedMLP, hidden=12), norm_in=RMSNorm)
    model = CausalLM(
        vocab=VOCAB, dim=8, layers=(attention, mlp), norm=RMSNorm, head=head, **options
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double()


def plain(model: CausalLM, tokens: Tensor, goal: Tensor, **how: Any) -> Tensor:
    return F.cross_entropy(model(tokens, **how).flatten(0, 1), goal.flatten())


def same(model: CausalLM, found: Tensor, wanted: Tensor) -> None:
    assert torch.allclose(found, wanted, rtol=1e-12)
    some = list(model.parameters())
    pairs = (torch.autograd.grad(3 * loss, some) for loss in (found, wanted))
    for ours, theirs in zip(*pairs, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of rows and of the vocabulary, the last of them shorter."""
    monkeypatch.setattr(crossentropy, "FEWEST", 1)
    monkeypatch.setattr(crossentropy, "LOGITS", 7 * VOCAB)
    monkeypatch.setattr(crossentropy, "SCORES", 7 * 40)
    monkeypatch.setattr(next_token, "ROWS", 7)


@pytest.mark.parametrize("head", HEADS)
def test_it_is_the_plain_one(head: str) -> None:
    model, tokens = made(HEADS[head]), torch.randint(VOCAB, (2, 10))
    goal = F.pad(tokens[:, 1:], (0, 1), value=-100)
    same(model, next_token_loss(model, tokens), plain(model, tokens, goal))


def test_tied() -> None:
    model = made(ties=(("head.weight", "embedding.weight"),))
    tokens = torch.randint(VOCAB, (2, 10))
    goal = F.pad(tokens[:, 1:], (0, 1), value=-100)
    same(model, next_token_loss(model, tokens), plain(model, tokens, goal))


@pytest.mark.parametrize("left", [True, False])
def test_padding_is_not_learnt(left: bool) -> None:
    model, tokens = made(), torch.randint(VOCAB, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, :3] = False
    mask = mask if left else mask.flip(1)
    short = tokens[0, mask[0]][None]
    alone = [next_token_loss(model, short) * 5, next_token_loss(model, tokens[1:]) * 8]
    same(model, next_token_loss(model, tokens, mask), torch.stack(alone).sum() / 13)


def test_documents_in_one_row() -> None:
    model, tokens = made(), torch.randint(VOCAB, (1, 9))
    segments = torch.tensor([[0, 0, 0, 0, 1, 2, 2, 2, 2]])
    parts = [next_token_loss(model, part) * 3 for part in (tokens[:, :4], tokens[:, 5:])]
    same(model, next_token_loss(model, tokens, segments=segments), torch.stack(parts).sum() / 6)


def test_targets_of_ones_own() -> None:
    model, tokens = made(), torch.randint(VOCAB, (2, 9))
    goal = torch.randint(VOCAB, (2, 9))
    goal[0, 2:5] = -100
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, :4] = False
    found = next_token_loss(model, tokens, mask, targets=goal)
    same(model, found, plain(model, tokens, goal.masked_fill(~mask, -100), mask=mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_rounded_little(dtype: torch.dtype) -> None:
    x, weight = torch.randn(50, 16).to(dtype), torch.randn(VOCAB, 16).to(dtype)
    given, goal = (x.requires_grad_(), weight.requires_grad_()), torch.randint(VOCAB, (50,))
    wide = [t.detach().double().requires_grad_() for t in given]
    found, wanted = linear_cross_entropy(*given, goal), F.cross_entropy(wide[0] @ wide[1].T, goal)
    allowed = 2e-6 if dtype == torch.float32 else 1e-2
    assert found.dtype == torch.float32 and float((found - wanted).abs().detach()) < allowed
    pairs = torch.autograd.grad(found, given), torch.autograd.grad(wanted, wide)
    for ours, theirs in zip(*pairs, strict=True):
        assert ours.dtype == dtype
        assert float((ours - theirs).norm()) < allowed * float(theirs.norm())


def test_what_autocast_says_is_done() -> None:
    x, weight = torch.randn(20, 8), torch.randn(VOCAB, 8).requires_grad_()
    goal = torch.randint(VOCAB, (20,))
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = linear_cross_entropy(x, weight, goal), F.cross_entropy(x @ weight.T, goal)
    assert torch.allclose(found, wanted, rtol=1e-2)
    (grad,) = torch.autograd.grad(found, weight)
    assert grad.dtype == torch.float32


class Largest(TorchDispatchMode):
    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.most = max(self.most, out.numel() if isinstance(out, Tensor) else 0)
        return out


@pytest.mark.parametrize("head", ["plain", "adaptive"])
def test_the_logits_are_never_all_there(head: str) -> None:
    model, tokens = made(HEADS[head]), torch.randint(VOCAB, (2, 40))
    with Largest() as watch:
        next_token_loss(model, tokens).backward()
    assert watch.most <= 8 * VOCAB  # a part, or the vocabulary's matrix
    with Largest() as watch:
        model(tokens)
    assert watch.most == 80 * VOCAB


def test_what_is_frozen_has_no_gradient() -> None:
    model, tokens = made(), torch.randint(VOCAB, (1, 9))
    model.head.requires_grad_(False)
    next_token_loss(model, tokens).backward()
    assert model.head.weight.grad is None and model.embedding.weight.grad is not None
    model.requires_grad_(False)
    assert not next_token_loss(model, tokens).requires_grad


def test_backward_twice_is_the_same() -> None:
    model, tokens = made(), torch.randint(VOCAB, (1, 9))
    loss, weight = next_token_loss(model, tokens), model.head.weight
    grads = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*grads)


def test_a_second_derivative_is_refused() -> None:
    model, tokens = made(), torch.randint(VOCAB, (1, 9))
    weight = model.norm.weight
    (grad,) = torch.autograd.grad(next_token_loss(model, tokens), weight, create_graph=True)
    with pytest.raises(BlocksError, match="has no second derivative"):
        grad.square().sum().backward()


TWO = torch.tensor([[1, 2]])
WRONG: dict[str, tuple[Tensor, dict[str, Any], str]] = {
    "one token": (TWO[:, :1], {}, "no pair"),
    "one document a token": (TWO, {"segments": TWO}, "no pair"),
    "targets of another shape": (TWO, {"targets": TWO[:, :1]}, r"are \[1, 1\]"),
    "targets that are no numbers": (TWO, {"targets": TWO.double()}, "whole numbers"),
    "a target out of the vocabulary": (TWO, {"targets": TWO + VOCAB}, "token 302 is not"),
    "a target below zero": (TWO, {"targets": TWO - 3}, "token -2 is not"),
    "a token out of the vocabulary": (TWO + VOCAB, {}, "token 303 is not"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(name: str) -> None:
    tokens, how, match = WRONG[name]
    with pytest.raises(GenerationError, match=match):
        next_token_loss(made(), tokens, **how)
