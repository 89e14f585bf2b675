"""Subsampling: a spectrogram read as an image, whose rate each convolution divides."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.frames import Strides, silent
from blocks.ops.check import check_input, check_positive
from blocks.step import Step

__all__ = ["Subsampling"]


class Subsampling(nn.Module):
    r"""x = W [flattened channels and frequencies of conv_n(… relu(conv_1(frames)))] · scale

    Convolutions of time and frequency with a stride; all but the first convolve each channel by
    itself, and then mix the channels. Rekesh et al., "Fast Conformer", 2023, arXiv:2305.05084.

    Args:
        channels: of a frame, C: frequencies.
        dim: width D of what comes out.
        hidden: channels of the images.
        kernel, stride: of each convolution, along both axes.
        depth: how many convolutions there are: frames become fewer by stride^depth.
        scale: what the vectors are multiplied with, √D in Parakeet.

    Shapes: frames [B T C], real [B T] (padding at the end) -> [B T' D].

    Errors:
        SpecError: another number of channels, or none left.
        GenerationError: too few frames.

    Example:
        >>> import torch
        >>> from blocks import Subsampling
        >>> Subsampling(80, 64, hidden=16)(torch.randn(1, 100, 80)).shape
        torch.Size([1, 13, 64])
    """

    reads_frames = True

    def __init__(
        self,
        channels: int,
        dim: int,
        *,
        hidden: int,
        kernel: int = 3,
        stride: int = 2,
        depth: int = 3,
        scale: float = 1.0,
    ):
        super().__init__()
        check_positive("Subsampling", channels=channels, dim=dim, hidden=hidden, depth=depth)
        check_positive("Subsampling", kernel=kernel, stride=stride, scale=scale)
        self.channels, self.scale = channels, scale
        self.strides = Strides.checked("Subsampling", (kernel,) * depth, (stride,) * depth, True)
        how: dict[str, Any] = {"stride": stride, "padding": self.strides.pad(0)}
        self.first = nn.Conv2d(1, hidden, kernel, **how)
        rest = range(depth - 1)
        self.each = nn.ModuleList(
            nn.Conv2d(hidden, hidden, kernel, groups=hidden, **how) for _ in rest
        )
        self.mix = nn.ModuleList(nn.Conv2d(hidden, hidden, 1) for _ in rest)
        left = channels
        for n in range(depth):
            left = self.strides.one(left, n)
        check_positive("Subsampling", channels=left)
        self.out = nn.Linear(hidden * left, dim)

    def forward(self, frames: Tensor, real: Tensor | None = None) -> Tensor:
        check_input(frames, self.channels, "Subsampling")
        self.strides.check(frames.shape[1])
        x = self.first(silent(frames, real)[:, None])  # B H T' C'
        real = self.strides.real(real, 0)
        x = F.relu(_silent(x, real))
        for n, (each, mix) in enumerate(zip(self.each, self.mix, strict=True), start=1):
            real = self.strides.real(real, n)
            x = F.relu(_silent(mix(_silent(each(x), real)), real))  # B H T' C'
        return self.out(x.transpose(1, 2).flatten(2)) * self.scale  # B T' D

    def shrunk(self, step: Step) -> Step:
        """The step of what comes out, given that of the frames."""
        return self.strides.step(step)


def _silent(x: Tensor, real: Tensor | None) -> Tensor:
    return x if real is None else torch.where(real[:, None, :, None], x, 0)
