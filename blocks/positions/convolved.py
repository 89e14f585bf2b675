"""Convolved positions: a wide convolution tells each place what surrounds it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.frames import along
from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive
from blocks.step import Step

__all__ = ["ConvPositions"]


class ConvPositions(nn.Module):
    r"""y = x + act(W ∗ x + b),        W_k = gain_k · V_k / ‖V_k‖ at each place k of the kernel

    Baevski et al., "wav2vec 2.0", 2020, arXiv:2006.11477; the weight by its length and direction:
    Salimans & Kingma, 2016, arXiv:1602.07868.

    Args:
        dim: width D.
        kernel: places that W spans, centred; of an even number the last is left out at the end.
        groups: into how many groups channels fall that don't see each other, a divisor of D.
        act: the activation.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: groups that don't divide D, an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import ConvPositions
        >>> ConvPositions(16, kernel=8, groups=4)(torch.randn(2, 5, 16)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(self, dim: int, *, kernel: int, groups: int = 1, act: Activation = "gelu"):
        super().__init__()
        check_positive("ConvPositions", dim=dim, kernel=kernel, groups=groups)
        if dim % groups:
            raise SpecError(f"{groups} groups don't divide {dim}", field="ConvPositions.groups")
        self.dim, self.kernel, self.groups = dim, kernel, groups
        self.gain = nn.Parameter(torch.empty(1, 1, kernel))
        self.weight = nn.Parameter(torch.empty(dim, dim // groups, kernel))
        self.bias = nn.Parameter(torch.empty(dim))
        self.act = activation(act)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=2 / (self.kernel * self.dim) ** 0.5)
        nn.init.ones_(self.gain)
        if not self.weight.is_meta:
            with torch.no_grad():
                self.gain.copy_(self._length())
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "ConvPositions")
        return x + along(x, step, self._around)  # B T D

    def _around(self, x: Tensor) -> Tensor:
        weight = self.weight * (self.gain / self._length())
        y = F.conv1d(x.mT, weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        return self.act(y[..., : x.shape[1]]).mT  # B T D

    def _length(self) -> Tensor:
        return self.weight.square().sum((0, 1), keepdim=True).sqrt()  # 1 1 K
