"""Molecules: strides of characters become one place each, and characters again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.norm.layer import LayerNorm
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.ops.chunks import to_front
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["Molecules"]


class Molecules(nn.Module):
    r"""Down to every n-th place, and up again once the layers between have read the short sequence:

        m = norm([x_0, act(conv_n x) but the last])        conv_n has n taps, n apart
        y = norm(act(conv_k [x, m repeated]))              conv_k has k taps, side by side

    Place t reads the molecule of its stride, and the last ones that of the last. Rows are as long
    as their real tokens. Clark et al., "CANINE", 2021, arXiv:2103.06874, section 3.

    Args:
        dim: width D of characters and molecules.
        stride: how many characters n make a molecule.
        kernel: how many places k are read on the way up.
        act: the activation.
        norm: slot of size (dim).
        dropout: rate at which channels of the output are dropped in training.

    Shapes: x [B T D] -> [B T D]; M molecules, T / n rounded down and 1 at least.

    Errors:
        SpecError: an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import Molecules, Step
        >>> molecules, x = Molecules(8, stride=4), torch.randn(1, 10, 8)
        >>> molecules.down(x, Step.plain(x))[0].shape, molecules(x).shape
        (torch.Size([1, 2, 8]), torch.Size([1, 10, 8]))
    """

    def __init__(
        self,
        dim: int,
        *,
        stride: int = 4,
        kernel: int = 4,
        act: Activation = "gelu",
        norm: Slot = LayerNorm,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("Molecules", dim=dim, stride=stride, kernel=kernel)
        check_rate("Molecules", dropout=dropout)
        self.dim, self.stride = dim, stride
        self.shrink, self.norm_shrink = nn.Conv1d(dim, dim, stride, stride=stride), norm(dim)
        self.merge, self.norm_merge = nn.Conv1d(2 * dim, dim, kernel), norm(dim)
        self.pads = ((kernel - 1) // 2, kernel // 2)
        self.act, self.drop = activation(act), nn.Dropout(dropout)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        step = Step.plain(x) if step is None else step
        return self.up(x, self.down(x, step)[0], step)  # B T D

    def down(self, x: Tensor, step: Step) -> tuple[Tensor, Step]:
        """The molecules [B M D], and the step that they are in."""
        check_input(x, self.dim, "Molecules")
        if step.segments is not None or step.seen is not None:
            raise SpecError("strides know no packed documents", field="segments")
        x, lengths = self._fronted(x, step)
        count = (lengths // self.stride).clamp(min=1)  # B 1
        lack = max(0, self.stride - x.shape[1])
        short = self.act(self.shrink(F.pad(x, (0, 0, 0, lack)).transpose(1, 2)))  # B D M
        m = self.norm_shrink(torch.cat([x[:, :1], short.transpose(1, 2)[:, :-1]], 1))  # B M D
        places = torch.arange(m.shape[1], device=x.device)[None]
        return m, Step(places, real=None if step.real is None else places < count)

    def up(self, x: Tensor, m: Tensor, step: Step) -> Tensor:
        """Characters [B T D] that have read their molecules."""
        whole, lengths = self._fronted(x, step)
        place = torch.arange(x.shape[1], device=x.device)[None]  # 1 T
        last = (lengths // self.stride).clamp(min=1) - 1  # B 1
        at = torch.minimum(1 + place // self.stride, last).expand(len(x), -1)  # B T
        read = m.gather(1, at[..., None].expand(-1, -1, self.dim))
        both = torch.cat([whole, read * (place < lengths)[..., None]], -1)  # B T 2D
        y = self.merge(F.pad(both.transpose(1, 2), self.pads)).transpose(1, 2)  # B T D
        y = self.drop(self.norm_merge(self.act(y)))
        if step.real is None:
            return y
        order = to_front(step.real).argsort(1)
        return y.gather(1, order[..., None].expand_as(y))

    @staticmethod
    def _fronted(x: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """x with real tokens first and zeros after them, and how many these are [B 1]."""
        if step.real is None:
            return x, torch.full_like(step.positions[:1, :1], x.shape[1])
        order = to_front(step.real)
        x = x.masked_fill(~step.real[..., None], 0).gather(1, order[..., None].expand_as(x))
        return x, step.real.sum(1, keepdim=True)
