"""Adaptive embedding and softmax: against torch's own, and against the full softmax."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from blocks import AdaptiveEmbedding, AdaptiveHead, SpecError
from blocks.testing.subject import disturb

V, D = 30, 8
SHAPES: list[dict[str, Any]] = [
    {},
    {"width": 6},
    {"div": 2},
    {"cutoffs": (4, 11)},
    {"cutoffs": (4, 11), "width": 6},
    {"cutoffs": (4, 11), "div": 2},
    {"cutoffs": (4, 11, 12), "width": 16, "div": 2},
]


@torch.no_grad()
@pytest.mark.parametrize("options", SHAPES)
def test_it_is_the_full_softmax_over_assembled_scores(options: dict[str, Any]) -> None:
    """The score of a cluster, less what its tokens sum to, goes to each of its tokens."""
    head, x = AdaptiveHead(D, V, **options).double(), torch.randn(5, D, dtype=torch.float64)
    disturb(head)
    scores = [head._scores(x, i) for i in range(len(head.clusters))]
    if head.choice is not None:
        choice = head.choice(head._narrow(x, 0))
        for i, own in enumerate(scores[1:]):
            scores[i + 1] = own - own.logsumexp(-1, keepdim=True) + choice[:, i, None]
    torch.testing.assert_close(head(x), torch.cat(scores, -1).log_softmax(-1))


@torch.no_grad()
def test_torchs_own() -> None:
    theirs = nn.AdaptiveLogSoftmaxWithLoss(D, V, [4, 11], div_value=2.0, head_bias=True).double()
    ours = AdaptiveHead(D, V, cutoffs=(4, 11), div=2).double()
    disturb(theirs)
    assert ours.choice is not None
    ours.tables[0].copy_(theirs.head.weight[:4])
    ours.biases[0].copy_(theirs.head.bias[:4])
    ours.choice.weight.copy_(theirs.head.weight[4:])
    ours.choice.bias.copy_(theirs.head.bias[4:])
    ours.projections[0].copy_(torch.eye(D))
    for i, tail in enumerate(theirs.tail, start=1):
        down, up = tail.children()
        ours.projections[i].copy_(down.weight.t())
        ours.tables[i].copy_(up.weight)
    x = torch.randn(6, D, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs.log_prob(x))


@torch.no_grad()
def test_without_clusters_it_is_a_softmax() -> None:
    head, x = AdaptiveHead(D, V).double(), torch.randn(2, 3, D, dtype=torch.float64)
    disturb(head)
    torch.testing.assert_close(head(x), F.linear(x, head.tables[0], head.biases[0]).log_softmax(-1))


@pytest.mark.parametrize("cutoffs", [(5, 3), (4, 4), (30,), (0, 3), (-1,), (31,)])
def test_cutoffs_that_dont_rise_are_refused(cutoffs: tuple[int, ...]) -> None:
    for build in (
        lambda: AdaptiveHead(D, V, cutoffs=cutoffs),
        lambda: AdaptiveEmbedding(V, D, cutoffs=cutoffs),
    ):
        with pytest.raises(SpecError, match="don't rise between 0 and 30"):
            build()


def test_too_many_clusters_for_the_width_are_refused() -> None:
    with pytest.raises(SpecError, match="8 can't be divided by 3 2 times"):
        AdaptiveHead(D, V, cutoffs=(4, 11), div=3)
