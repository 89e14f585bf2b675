"""Llama 3's scaling of RoPE: slow channels stretched, fast ones kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from blocks.errors import SpecError
from blocks.positions.scaling import Scaling, frequencies

__all__ = ["Llama3Scaling"]


@dataclass(frozen=True)
class Llama3Scaling(Scaling):
    """ω / factor for wavelengths beyond trained / low, ω for those below trained / high, and a
    straight blend between. Grattafiori et al., "The Llama 3 Herd of Models", 2024,
    arXiv:2407.21783.
    """

    factor: float
    low: float
    high: float
    trained: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise SpecError(f"low ({self.low}) must be below high ({self.high})", field="low")

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        plain = frequencies(theta, dims, length)
        turns = self.trained * plain / (2 * math.pi)  # full turns within the trained length
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return (1 - kept) * plain / self.factor + kept * plain, 1.0
