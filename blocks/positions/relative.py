"""Relative position bias: each distance, or bucket of distances, has a learnt bias a head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive
from blocks.ops.table import Places, Rule

__all__ = ["RelativeBias"]


class RelativeBias(nn.Module):
    r"""bias_h(q, k) = W[bucket(k − q), h]

    Near distances have a bucket each; from half of a side's buckets on they grow with the
    logarithm, and all from `distance` on share the last one. Raffel et al., "T5", 2019,
    arXiv:1910.10683, section 2.1.

    Args:
        heads: query heads H.
        buckets: rows of W.
        distance: from where on all distances are one.
        both_ways: half of the buckets are for keys after the query; else those count as distance 0.

    Shapes: q_positions [B T] or [1 T], k_positions [B S] or [1 S], int -> [B H T S] or [1 H T S].

    Errors:
        SpecError: too few buckets, or a distance that they reach one by one.

    Example:
        >>> import torch
        >>> from blocks import RelativeBias
        >>> positions = torch.arange(3)[None]
        >>> RelativeBias(2)(positions, positions).shape
        torch.Size([1, 2, 3, 3])
    """

    def __init__(
        self, heads: int, *, buckets: int = 32, distance: int = 128, both_ways: bool = True
    ):
        super().__init__()
        check_positive("RelativeBias", heads=heads, buckets=buckets, distance=distance)
        self.side = buckets // 2 if both_ways else buckets
        self.near = self.side // 2
        if self.near < 1 or distance <= self.near:
            raise SpecError(
                f"{buckets} buckets can't be spread over distances up to {distance}",
                field="RelativeBias.buckets",
                hint=f"at least {4 if both_ways else 2} buckets, fewer than the distances",
            )
        self.distance, self.both_ways = distance, both_ways
        self.weight = nn.Parameter(torch.empty(buckets, heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, q_positions: Tensor, k_positions: Tensor) -> Tensor:
        ahead = k_positions[:, None, :] - q_positions[:, :, None]  # B T S
        return self.weight[self._bucket(ahead)].permute(0, 3, 1, 2)  # B H T S

    def rule(self, q_positions: Tensor, k_positions: Tensor) -> Rule:
        """The same, of any element."""

        def bias(at: Places) -> Tensor:
            return self.weight[self._bucket(at.k(k_positions) - at.q(q_positions)), at.head]

        return bias

    def _bucket(self, ahead: Tensor) -> Tensor:
        far = ahead.abs() if self.both_ways else (-ahead).clamp(min=0)
        growth = (far.float().clamp(min=1) / self.near).log() / math.log(self.distance / self.near)
        later = self.near + (growth * (self.side - self.near)).long()
        bucket = torch.where(far < self.near, far, later.clamp(max=self.side - 1))
        return bucket + self.side * (ahead > 0) if self.both_ways else bucket
