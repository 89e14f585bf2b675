"""Tokens sent to their experts: the fast path, the plain path and a naive twin say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blocks import MLP
from blocks.ops.dispatch import dispatch, dispatch_plain

D, F, X = 12, 10, 8


def naive(x: Tensor, weights: Tensor, chosen: Tensor, experts: Any) -> Tensor:
    rows = []
    for token, its, picks in zip(x, weights, chosen.tolist(), strict=True):
        rows.append(sum(w * experts[i](token) for w, i in zip(its, picks, strict=True)))
    return torch.stack(rows)


def choices(n: int, k: int, kind: str) -> Tensor:
    if kind == "one for all":
        return torch.arange(k).expand(n, k)
    return torch.stack([torch.randperm(X if kind == "any" else k + 1)[:k] for _ in range(n)])


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("kind", ["any", "few", "one for all"])
def test_dispatch_is_the_sum(n: int, k: int, kind: str) -> None:
    experts = nn.ModuleList([MLP(D, hidden=F) for _ in range(X)]).double()
    x, weights = torch.randn(n, D).double(), torch.rand(n, k).double()
    chosen, found = choices(n, k, kind), []
    for path in (dispatch, dispatch_plain, naive):
        leaves = [x.requires_grad_(), weights.requires_grad_(), *experts.parameters()]
        y = path(x, weights, chosen, experts)
        grads = torch.autograd.grad(y.square().sum(), leaves, materialize_grads=True)
        found.append([y, *grads])
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[2])


def test_dispatch_calls_only_the_chosen_and_each_once() -> None:
    calls: list[tuple[int, int]] = []

    def expert(i: int) -> Callable[[Tensor], Tensor]:
        return lambda x: calls.append((i, len(x))) or x * i

    chosen = torch.tensor([[6, 1], [1, 3], [6, 3], [6, 1]])
    weights = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75], [1.0, 1.0]])
    y = dispatch(torch.ones(4, D), weights, chosen, [expert(i) for i in range(X)])
    assert calls == [(1, 3), (3, 2), (6, 3)]
    assert y[:, 0].tolist() == [3.5, 1.0, 3.75, 7.0]
    assert dispatch(torch.ones(0, D), weights[:0], chosen[:0], [expert(0)] * X).shape == (0, D)


def test_dispatch_is_the_same_to_the_last_bit() -> None:
    experts = [MLP(D, hidden=F) for _ in range(X)]
    x, weights, chosen = torch.randn(40, D), torch.rand(40, 5), choices(40, 5, "any")
    found = dispatch(x, weights, chosen, experts)
    assert torch.equal(found, dispatch(x, weights, chosen, experts))
    swapped = dispatch(x, weights.flip(1), chosen.flip(1), experts)
    assert torch.equal(found, swapped), "the order of a token's choices changes nothing"


def test_dispatch_rounds_as_the_plain_path_does() -> None:
    experts = [lambda x, i=i: x * (i + 0.37) for i in range(X)]
    x, chosen = torch.randn(50, D, dtype=torch.bfloat16), choices(50, 5, "any")
    weights = torch.rand(50, 5)
    found = dispatch(x, weights, chosen, experts)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, dispatch_plain(x, weights, chosen, experts))
