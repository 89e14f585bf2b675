"""Ways to stretch RoPE beyond the trained length, as values that print, compare and save."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.conform import check_fields
from blocks.errors import SpecError

__all__ = [
    "DynamicScaling",
    "LinearScaling",
    "Llama3Scaling",
    "LongRoPEScaling",
    "Scaling",
    "YarnScaling",
]


def frequencies(theta: float | Tensor, dims: int, device: torch.device) -> Tensor:
    """ω_i = θ^(−2i/dims) for i = 0 … dims/2 − 1: [dims/2], or [B dims/2] for θ [B 1]."""
    return 1.0 / theta ** (torch.arange(0, dims, 2, device=device).float() / dims)


@dataclass(frozen=True)
class Scaling:
    """The family of scalings: each turns (θ, dims, length) into frequencies and a magnitude.

    `switch` is a length beyond which all angles are others, if there is one: what was remembered
    up to it must be computed anew, which `generate` does.
    """

    @property
    def switch(self) -> int | None:
        return None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in vars(self).items():
            parts = value if isinstance(value, tuple) else (value,)
            for part in parts:
                if isinstance(part, int | float) and not 0 < part < math.inf:
                    raise SpecError(f"must be above zero, not {part}", field=name)

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float | Tensor]:
        """Frequencies [dims/2] or [B dims/2] and what cos and sin are multiplied with."""
        raise TypeError("Scaling is the family; use LinearScaling, YarnScaling or another of them")


@dataclass(frozen=True)
class LinearScaling(Scaling):
    """ω / factor: positions squeezed evenly. Chen et al., 2023, arXiv:2306.15595."""

    factor: float

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        return frequencies(theta, dims, length.device) / self.factor, 1.0


@dataclass(frozen=True)
class DynamicScaling(Scaling):
    """θ grows with the length L beyond the trained length N:

        θ' = θ · (factor · L / N − (factor − 1))^(dims / (dims − 2)),  L at least N

    The "NTK-aware" rule, described in Peng et al., "YaRN", 2023, arXiv:2309.00071. Beyond N every
    further token changes θ'; keys remembered in a State keep the angle of their own time.
    """

    factor: float
    trained: int

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        longer = length.clamp(min=self.trained)  # B 1
        stretch = self.factor * longer / self.trained - (self.factor - 1)
        return frequencies(theta * stretch ** (dims / (dims - 2)), dims, length.device), 1.0


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
        plain = frequencies(theta, dims, length.device)
        turns = self.trained * plain / (2 * math.pi)  # full turns within the trained length
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return (1 - kept) * plain / self.factor + kept * plain, 1.0


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

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, float]:
        plain = frequencies(theta, dims, length.device)
        first, last = (
            dims * math.log(self.trained / (turns * 2 * math.pi)) / (2 * math.log(theta))
            for turns in (self.fast, self.slow)
        )
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, dims - 1)
        width = last - first if last != first else 1e-3
        channel = torch.arange(dims // 2, device=length.device).float()
        squeezed = ((channel - first) / width).clamp(0, 1)
        magnitude = yarn_magnitude(self.factor) if self.magnitude is None else self.magnitude
        return plain / self.factor * squeezed + plain * (1 - squeezed), magnitude


def yarn_magnitude(factor: float, weight: float = 1.0) -> float:
    """0.1 · weight · ln(factor) + 1, YaRN's correction of the softmax temperature."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


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

    @property
    def switch(self) -> int:
        return self.trained

    def __call__(self, theta: float, dims: int, length: Tensor) -> tuple[Tensor, Tensor]:
        for name, factors in (("short", self.short), ("long", self.long)):
            if len(factors) != dims // 2:
                raise SpecError(
                    f"{len(factors)} factors for {dims // 2} rotated pairs of channels",
                    field=f"LongRoPEScaling.{name}",
                )
        beyond = length > self.trained  # B 1
        short, long = (torch.tensor(f, device=length.device) for f in (self.short, self.long))
        magnitude = torch.where(beyond, self.long_magnitude, self.short_magnitude)
        return frequencies(theta, dims, length.device) / torch.where(beyond, long, short), magnitude
