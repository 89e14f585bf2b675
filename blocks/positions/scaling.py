"""Ways to stretch RoPE beyond the trained length, as values that print, compare and save."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blocks.conform import check_fields
from blocks.errors import SpecError

__all__ = ["DynamicScaling", "LinearScaling", "Scaling"]


def frequencies(theta: float | Tensor, dims: int, like: Tensor) -> Tensor:
    """ω_i = θ^(−2i/dims) for i = 0 … dims/2 − 1: [dims/2], or [B dims/2] for θ [B 1].

    In float64 where `like` is, else in float32, as models are trained.
    """
    wide = torch.promote_types(like.dtype, torch.float32)
    return 1.0 / theta ** (torch.arange(0, dims, 2, device=like.device).to(wide) / dims)


@dataclass(frozen=True)
class Scaling:
    """The family of scalings: each turns (θ, dims, length) into frequencies and a magnitude.

    `switch` is a length beyond which all angles are others, if there is one: what was remembered
    up to it must be computed anew, which `generate` does.
    """

    by_length: ClassVar[bool] = False  # whether the angles depend on how long the sequence is

    @property
    def switch(self) -> int | None:
        return None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in vars(self).items():
            parts = value if isinstance(value, tuple) else (value,)
            for part in parts:
                number = isinstance(part, int | float) and not isinstance(part, bool)
                if number and not 0 < part < math.inf:
                    raise SpecError(f"must be above zero, not {part}", field=name)

    def check(self, theta: float, dims: int) -> None:
        """Refuses what can't stretch a RoPE of this base and width."""

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float | Tensor]:
        """Frequencies [dims/2] or [B dims/2] and what cos and sin are multiplied with.

        Where the length [B 1] is in float64, so are they: `frequencies` sees to it.
        """
        raise TypeError("Scaling is the family; use LinearScaling, YarnScaling or another of them")


@dataclass(frozen=True)
class LinearScaling(Scaling):
    """ω / factor: positions squeezed evenly. Chen et al., 2023, arXiv:2306.15595."""

    factor: float

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        return frequencies(theta, dims, length) / self.factor, 1.0


@dataclass(frozen=True)
class DynamicScaling(Scaling):
    """θ grows with the length L beyond the trained length N:

        θ' = θ · (factor · L / N − (factor − 1))^(dims / (dims − 2)),  L at least N

    The "NTK-aware" rule, described in Peng et al., "YaRN", 2023, arXiv:2309.00071. Beyond N every
    further token changes θ'; keys remembered in a State keep the angle of their own time.
    """

    factor: float
    trained: int
    by_length: ClassVar[bool] = True

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        longer = length.clamp(min=self.trained)  # B 1
        stretch = self.factor * longer / self.trained - (self.factor - 1)
        return frequencies(theta * stretch ** (dims / (dims - 2)), dims, length), 1.0
