"""A linear layer over a long text, by the quickest of torch's own kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__: list[str] = []

_LONG = 64  # tokens from which on a convolution's own overhead is made up for


def project(layer: nn.Module, x: Tensor) -> Tensor:
    """`layer(x)`, [B T D] -> [B T O].

    In float32 on a CPU, torch multiplies by another library than it convolves with. Over a long
    text a convolution of one place is a sixth quicker (measured on AMD), and sums in another
    order.
    """
    if (
        type(layer) is not nn.Linear  # another source of weights
        or layer._forward_hooks
        or layer._forward_pre_hooks
        or x.dim() != 3
        or x.shape[1] < _LONG
        or x.dtype != torch.float32
        or x.device.type != "cpu"
        or torch.is_grad_enabled()
        or torch.compiler.is_compiling()
    ):
        return layer(x)
    # Views alone: channels come last in both.
    y = F.conv2d(x.transpose(1, 2)[:, :, None], layer.weight[:, :, None, None], layer.bias)
    return y[:, :, 0].transpose(1, 2)
