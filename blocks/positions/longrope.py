"""LongRoPE: a searched factor for every channel, one set for short and one for long texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blocks.errors import SpecError
from blocks.positions.scaling import Scaling, frequencies

__all__ = ["LongRoPEScaling"]


@dataclass(frozen=True)
class LongRoPEScaling(Scaling):
    """ω / short_i within the trained length, ω / long_i beyond it, one factor a channel.

    cos and sin are multiplied by short_magnitude or long_magnitude.
    Ding et al., "LongRoPE", 2024, arXiv:2402.13753.
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    trained: int
    short_magnitude: float = 1.0
    long_magnitude: float = 1.0
    by_length: ClassVar[bool] = True

    @property
    def switch(self) -> int:
        return self.trained

    def check(self, theta: float, dims: int) -> None:
        for name, factors in (("short", self.short), ("long", self.long)):
            if len(factors) != dims // 2:
                raise SpecError(
                    f"{len(factors)} factors for {dims // 2} rotated pairs of channels",
                    field=f"LongRoPEScaling.{name}",
                )

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, Tensor]:
        beyond = length > self.trained  # B 1
        plain = frequencies(theta, dims, length)
        short, long = (plain.new_tensor(factors) for factors in (self.short, self.long))
        few, many = plain.new_tensor([self.short_magnitude, self.long_magnitude])
        return plain / torch.where(beyond, long, short), torch.where(beyond, many, few)
