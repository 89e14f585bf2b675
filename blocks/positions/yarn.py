"""YaRN: RoPE stretched channel by channel, with a little more contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import SpecError
from blocks.positions.scaling import Scaling, frequencies

__all__ = ["YarnScaling"]


@dataclass(frozen=True)
class YarnScaling(Scaling):
    """Slow channels are interpolated, fast ones kept, a ramp between; cos and sin grow a little.

    The ramp runs over the channels that make `slow` to `fast` turns within the trained length.
    `magnitude` multiplies cos and sin, 0.1 ln(factor) + 1 by default; `truncate` rounds the ends
    of the ramp outwards to whole channels. Peng et al., 2023, arXiv:2309.00071.
    """

    factor: float
    trained: int
    fast: float = 32.0
    slow: float = 1.0
    magnitude: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slow >= self.fast:
            raise SpecError(f"slow ({self.slow}) must be below fast ({self.fast})", field="slow")

    def check(self, theta: float, dims: int) -> None:
        if theta <= 1:
            raise SpecError(f"a ramp needs theta above 1, not {theta}", field="RoPE.theta")

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        plain = frequencies(theta, dims, length)
        first, last = (
            dims * math.log(self.trained / (turns * 2 * math.pi)) / (2 * math.log(theta))
            for turns in (self.fast, self.slow)
        )
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, dims - 1)
        width = last - first if last != first else 1e-3
        channel = torch.arange(dims // 2, device=length.device).to(plain.dtype)
        squeezed = ((channel - first) / width).clamp(0, 1)
        magnitude = yarn_magnitude(self.factor) if self.magnitude is None else self.magnitude
        return plain / self.factor * squeezed + plain * (1 - squeezed), magnitude


def yarn_magnitude(factor: float, weight: float = 1.0) -> float:
    """0.1 · weight · ln(factor) + 1, YaRN's correction of the softmax temperature."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0
