"""What strides leave of a sequence of frames, and which of it is real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_positive
from blocks.step import Step

__all__: list[str] = []


@dataclass(frozen=True)
class Strides:
    """Kernels and strides of convolutions along time, one after the other.

    Attributes:
        kernels, strides: of each.
        padded: (kernel − 1) // 2 zeros on each side.
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    padded: bool

    @classmethod
    def checked(
        cls, block: str, kernels: tuple[int, ...], strides: tuple[int, ...], padded: bool
    ) -> Strides:
        """The same, or a SpecError that names the block's option."""
        if not kernels or len(kernels) != len(strides):
            raise SpecError(
                f"{len(kernels)} kernels have {len(strides)} strides", field=f"{block}.strides"
            )
        for kernel, stride in zip(kernels, strides, strict=True):
            check_positive(block, kernels=kernel, strides=stride)
        return cls(kernels, strides, padded)

    def pad(self, n: int) -> int:
        """Zeros on each side for convolution n."""
        return (self.kernels[n] - 1) // 2 if self.padded else 0

    def one(self, length: Any, n: int) -> Any:
        """How many frames convolution n leaves of `length`, an int or a tensor."""
        around = 2 * self.pad(n)
        return (length + around - self.kernels[n]) // self.strides[n] + 1

    def check(self, frames: int) -> None:
        """Refuses too few frames for the kernels."""
        least = 1
        for n in reversed(range(len(self.kernels))):
            least = (least - 1) * self.strides[n] + self.kernels[n] - 2 * self.pad(n)
        if frames < least:
            raise GenerationError(
                f"{frames} frames are too few: at least {least} are needed", field="source"
            )

    def real(self, real: Tensor | None, n: int) -> Tensor | None:
        """Which frames are real after convolution n."""
        if real is None:
            return None
        left = torch.arange(self.one(real.shape[1], n), device=real.device)
        return left < self.one(real.sum(1), n)[:, None]

    def step(self, step: Step) -> Step:
        """The step of what is left, given that of the frames."""
        length, real = step.positions.shape[1], step.real
        if real is not None and not (real.is_meta or torch.compiler.is_compiling()):
            check_end(real)
            self.check(int(real.sum(1).min()))
        for n in range(len(self.kernels)):
            length, real = self.one(length, n), self.real(real, n)
        positions = torch.arange(length, device=step.positions.device)[None]
        return replace(step, positions=positions, real=real, _made={})


def check_end(real: Tensor) -> None:
    """Refuses padding before real frames: a stride would count it in."""
    if bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise GenerationError("frames are padded at the end alone", field="mask")


def silent(x: Tensor, real: Tensor | None) -> Tensor:
    """[B T C] with zeros where [B T] nothing is real, as convolutions pad."""
    return x if real is None else x.masked_fill(~real[..., None], 0)


def along(x: Tensor, step: Step | None, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    """`convolve` of [B T C] along the real places alone, wherever padding lies; zeros there."""
    if step is not None and step.segments is not None:
        raise SpecError("a convolution to both sides mixes packed documents", field="segments")
    real = None if step is None else step.real
    if real is None:
        return convolve(x)
    rank = real.cumsum(1) - 1  # B T
    places = torch.where(real, rank, x.shape[1])[..., None].expand_as(x)
    room = x.new_zeros(x.shape[0], x.shape[1] + 1, x.shape[2])
    dense = room.scatter(1, places, x)[:, :-1]  # the last place holds what is not real
    back = rank.clamp(min=0)[..., None].expand_as(x)
    return silent(convolve(dense).gather(1, back), real)
