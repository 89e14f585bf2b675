"""SparseMixer: two experts, drawn in training so that the choice itself gets a gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_rate
from blocks.ops.dispatch import check_choice, router_logits

__all__ = ["SparseMixerRouter"]


class SparseMixerRouter(nn.Module):
    r"""s = W x;   p = softmax(s over i near the best);   weight_1 = p_i of the best i

    and the same once more without the first expert for the second. An i is near the best m where
    m − s_i ≤ 2 · jitter · max(|s_i|, m).

    In training the expert is drawn from p. Where it is not the most likely one, its weight is
    multiplied with 1/3 in three of four cases, while the gradient is that of p alone: Heun's
    third-order rule for the gain of choosing an expert over none. Liu et al., "Sparse
    backpropagation for MoE training", 2023, arXiv:2310.00811; "GRIN", 2024, arXiv:2409.12136.

    Args:
        dim: width D.
        experts: experts X.
        top_k: experts that a token goes to: 2.
        jitter: how near the best another expert must come to count.

    Shapes: x [N D] -> weights [N 2], chosen [N 2] int. The two weights don't sum to 1.

    Errors:
        SpecError: top_k is not 2, fewer than two experts, or jitter outside [0, 1).

    Example:
        >>> import torch
        >>> from blocks import SparseMixerRouter
        >>> weights, chosen = SparseMixerRouter(16, 8, 2).eval()(torch.randn(5, 16))
        >>> bool((weights <= 1).all()), chosen.shape
        (True, torch.Size([5, 2]))
    """

    def __init__(self, dim: int, experts: int, top_k: int, *, jitter: float = 0.01):
        super().__init__()
        check_rate("SparseMixerRouter", jitter=jitter)
        check_choice("SparseMixerRouter", experts, top_k, dim=dim)
        if top_k != 2:
            raise SpecError(f"it chooses 2 experts, not {top_k}", field="SparseMixerRouter.top_k")
        self.jitter = jitter
        self.weight = nn.Parameter(torch.empty(experts, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s = router_logits(x, self.weight)  # N X
        first_weight, first = self._pick(s)  # N 1
        rest = s.scatter(-1, first, -math.inf)
        second_weight, second = self._pick(rest)  # N 1
        return torch.cat([first_weight, second_weight], -1), torch.cat([first, second], -1)

    def _pick(self, s: Tensor) -> tuple[Tensor, Tensor]:
        best, likeliest = s.detach().max(-1, keepdim=True)  # N 1
        distance = (best - s.detach()) / torch.maximum(s.detach().abs(), best)
        near = s.masked_fill(distance > 2 * self.jitter, -math.inf)
        p = near.softmax(-1)  # N X
        if not self.training:
            return p.gather(-1, likeliest), likeliest
        # The largest of s + Gumbel noise is a draw from softmax(s).
        drawn = (near - torch.empty_like(near).exponential_().log()).argmax(-1, keepdim=True)
        weight = p.gather(-1, drawn)
        whole = (drawn == likeliest) | (torch.rand_like(weight) > 0.75)
        return weight + torch.where(whole, 0, -2 / 3 * weight).detach(), drawn
