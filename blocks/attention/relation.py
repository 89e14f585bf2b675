"""Type relation: what scores gain where query and key are of one text of a pair, and elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive

__all__ = ["TypeRelation"]


class TypeRelation(nn.Module):
    r"""score_ts = (q_t + b) W_0 where type_t = type_s,   (q_t + b) W_1 where they differ

    Only whether two types are the same counts, not which they are. Yang et al., "XLNet", 2019,
    arXiv:1906.08237, section 2.5.

    Args:
        head_dim: width E of a head.
        heads: query heads H.

    Shapes: q [B H T E], types of queries [B T] or [1 T] and keys [B S] or [1 S], int -> [B H T S].

    Example:
        >>> import torch
        >>> from blocks import TypeRelation
        >>> types = torch.tensor([[0, 0, 1]])
        >>> TypeRelation(4, 2)(torch.randn(1, 2, 3, 4), types, types).shape
        torch.Size([1, 2, 3, 3])
    """

    def __init__(self, head_dim: int, heads: int):
        super().__init__()
        check_positive("TypeRelation", head_dim=head_dim, heads=heads)
        self.weight = nn.Parameter(torch.empty(2, heads, head_dim))
        self.bias = nn.Parameter(torch.zeros(heads, head_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, q: Tensor, q_types: Tensor, k_types: Tensor) -> Tensor:
        scores = (q + self.bias[:, None]) @ self.weight.permute(1, 2, 0)  # B H T 2
        other = (q_types[:, :, None] != k_types[:, None]).long()  # B T S
        return scores.gather(-1, other[:, None].expand(*scores.shape[:3], -1))  # B H T S
