"""A linear map with a matrix of its own for each head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__: list[str] = []


class HeadLinear(nn.Module):
    """W_h x_h + b_h for each head of x [… H·E]; W is applied from the right."""

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, head_dim, head_dim))
        self.bias = nn.Parameter(torch.empty(heads, head_dim))
        nn.init.normal_(self.weight, std=head_dim**-0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (len(self.weight), -1)).flatten(0, -3).transpose(0, 1)  # H N E
        y = torch.baddbmm(self.bias[:, None], heads, self.weight)
        return y.transpose(0, 1).reshape(x.shape)
