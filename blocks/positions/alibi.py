"""ALiBi: attention falls off with the distance in a straight line, each head at its own slope."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive
from blocks.ops.table import Rule

__all__ = ["ALiBi"]


class ALiBi(nn.Module):
    r"""bias_h(q, k) = −scale · m_h · |q − k|,        m_h = 2^(−max_bias · h / H) for h = 1 … H

    Press et al., "Train short, test long", 2021, arXiv:2108.12409. Where H is not a power of two,
    the slopes are the first H of the next power's in the paper's order: every second one of them,
    then those between (BLOOM and MPT).

    Args:
        heads: query heads H.
        max_bias: how many times the last head's slope is halved.
        scale: what the bias is multiplied with: 1/√E in models that scale scores after adding it.

    Shapes: q_positions [B T] or [1 T], k_positions [B S] or [1 S], int -> [B H T S] or
        [1 H T S] of float32.

    Errors:
        SpecError: a number that is not above zero.

    Example:
        >>> import torch
        >>> from blocks import ALiBi
        >>> positions = torch.arange(3)[None]
        >>> ALiBi(2)(positions, positions)[0, 0, 2]
        tensor([-0.1250, -0.0625, -0.0000])
    """

    def __init__(self, heads: int, *, max_bias: float = 8.0, scale: float = 1.0):
        super().__init__()
        check_positive("ALiBi", heads=heads, max_bias=max_bias, scale=scale)
        power = 1 << (heads - 1).bit_length()
        order = list(range(1, power + 1))
        if power > heads:
            order = order[1::2] + order[::2]
        self.slopes = tuple(2 ** (-max_bias * h / power) * scale for h in order[:heads])

    def forward(self, q_positions: Tensor, k_positions: Tensor) -> Tensor:
        distance = (q_positions[:, None, :, None] - k_positions[:, None, None, :]).abs()  # B 1 T S
        slopes = torch.tensor(self.slopes, device=distance.device)[:, None, None]  # H 1 1
        return -slopes * distance  # B H T S

    def rule(self, q_positions: Tensor, k_positions: Tensor) -> Rule:
        """The same, of any element."""
        slopes = torch.tensor(self.slopes, device=q_positions.device)  # H
        return lambda at: -slopes[at.head] * (at.q(q_positions) - at.k(k_positions)).abs()
