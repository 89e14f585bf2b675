"""The convolution module of a Conformer: a gate, a convolution of each channel, a norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import glu

from blocks.conv.frames import along
from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.norm.batch import BatchNorm
from blocks.ops.check import check_input, check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["ConvModule"]


class ConvModule(nn.Module):
    r"""y = W_down act(norm(w ∗ (W_a x ⊙ σ(W_b x))))

    w convolves each channel along time, centred; padding counts as zeros, as beyond the ends.
    Gulati et al., "Conformer", 2020, arXiv:2005.08100, section 2.2.

    Args:
        dim: width D.
        kernel: frames that w spans, odd.
        norm: slot of size (dim) after the convolution.
        act: the activation.
        bias: whether the three convolutions add one.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: an even kernel, an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import ConvModule
        >>> ConvModule(16, kernel=3)(torch.randn(2, 5, 16)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        kernel: int,
        norm: Slot = BatchNorm,
        act: Activation = "silu",
        bias: bool = False,
    ):
        super().__init__()
        check_positive("ConvModule", dim=dim, kernel=kernel)
        if kernel % 2 == 0:
            raise SpecError(f"{kernel} frames have no middle", field="ConvModule.kernel")
        self.dim = dim
        self.up = nn.Conv1d(dim, 2 * dim, 1, bias=bias)  # W_a, then W_b
        self.mix = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=bias)
        self.norm = norm(dim)
        self.act = activation(act)
        self.down = nn.Conv1d(dim, dim, 1, bias=bias)
        self._norm_wants = wants(self.norm)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "ConvModule")
        x = glu(self.up(x.mT), 1).mT  # B T D
        x = along(x, step, lambda frames: self.mix(frames.mT).mT)  # B T D
        x = self.act(call(self.norm, x, step, None, self._norm_wants))
        return self.down(x.mT).mT  # B T D
