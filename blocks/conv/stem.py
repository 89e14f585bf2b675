"""Convolutional stem: frames of sound, or its samples, as fewer and wider vectors."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from blocks.conv.frames import Strides, silent
from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive
from blocks.ops.wants import wants
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["ConvStem"]


class ConvStem(nn.Module):
    r"""x_n = act(norm_n(W_n ∗ x_{n−1} + b_n)),     x_0 the frames, ∗ along time with a stride

    The stem of Whisper (Radford et al., 2022, arXiv:2212.04356), two convolutions of which the
    second halves the rate, and that of wav2vec 2.0 (Baevski et al., 2020, arXiv:2006.11477), seven
    without padding over the samples.

    Args:
        channels: of a frame, C.
        dim: width D of what comes out.
        kernels, strides: of each convolution, the first first.
        between: channels between them; None is D.
        padded: zeros before and after the frames, (kernel − 1) // 2 on each side.
        norm: slot of size (channels) after a convolution, over its channels or over time.
        normed: whether the norm follows `all` convolutions or the `first` alone.
        act: the activation after each.
        bias: whether convolutions add one.

    Shapes: frames [B T C], real [B T] (padding at the end) -> [B T' D].

    Errors:
        SpecError: not one stride a kernel, or too few frames for the kernels.

    Example:
        >>> import torch
        >>> from blocks import ConvStem
        >>> ConvStem(80, 64)(torch.randn(1, 100, 80)).shape
        torch.Size([1, 50, 64])
    """

    reads_frames = True

    def __init__(
        self,
        channels: int,
        dim: int,
        *,
        kernels: tuple[int, ...] = (3, 3),
        strides: tuple[int, ...] = (1, 2),
        between: tuple[int, ...] | None = None,
        padded: bool = True,
        norm: Slot | None = None,
        normed: Literal["all", "first"] = "all",
        act: Activation = "gelu",
        bias: bool = True,
    ):
        super().__init__()
        check_positive("ConvStem", channels=channels, dim=dim)
        self.strides = Strides.checked("ConvStem", kernels, strides, padded)
        widths = (channels, *((dim,) * (len(kernels) - 1) if between is None else between), dim)
        if len(widths) != len(kernels) + 1:
            raise SpecError(
                f"{len(widths) - 2} widths between {len(kernels)} convolutions",
                field="ConvStem.between",
            )
        self.channels = channels
        pads = [self.strides.pad(n) for n in range(len(kernels))]
        self.convs = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], kernels[i], strides[i], pads[i], bias=bias)
            for i in range(len(kernels))
        )
        followed = len(kernels) if normed == "all" else 1
        made: list[Any] = [norm(width) for width in widths[1 : followed + 1]] if norm else []
        self.norms = nn.ModuleList(made)
        self._over_time = any("real" in wants(part) for part in self.norms)
        self.act = activation(act)

    def forward(self, frames: Tensor, real: Tensor | None = None) -> Tensor:
        check_input(frames, self.channels, "ConvStem")
        self.strides.check(frames.shape[1])
        x = silent(frames, real)
        for n, conv in enumerate(self.convs):
            x = conv(x.mT).mT  # B T' C
            real = self.strides.real(real, n)
            if n < len(self.norms):
                x = self.norms[n](x, real) if self._over_time else self.norms[n](x)
            x = silent(self.act(x), real)
        return x  # B T' D

    def shrunk(self, step: Step) -> Step:
        """The step of what comes out, given that of the frames."""
        return self.strides.step(step)
