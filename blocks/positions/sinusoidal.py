"""Sinusoidal positions: sines and cosines of the position, from fast waves to slow ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.step import Step

__all__ = ["SinusoidalPositions"]


class SinusoidalPositions(nn.Module):
    r"""y_t = x_t + scale · [sin((p_t + offset) ω_i), cos((p_t + offset) ω_i)],   ω_i = θ^(−i / n)

    for i = 0 … D/2 − 1. Vaswani et al., 2017, arXiv:1706.03762, section 3.5, with n = D/2.

    Args:
        dim: width D, even.
        layout: `interleaved` has the sine and cosine of one wave side by side (the paper),
            `halves` all sines and then all cosines (Marian, Whisper).
        theta: θ, how much slower the waves become.
        endpoint: n = D/2 − 1, so that the last wave is slower by θ itself (tensor2tensor, Whisper).
        offset: the position that the first token is taken to have.
        scale: what the waves are multiplied with.
        dropout: rate at which channels of the sum are dropped in training.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: an odd width, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import SinusoidalPositions
        >>> SinusoidalPositions(4, layout="halves")(torch.zeros(1, 2, 4))[0, 0]
        tensor([0., 0., 1., 1.])
    """

    def __init__(
        self,
        dim: int,
        *,
        layout: Literal["interleaved", "halves"] = "interleaved",
        theta: float = 10_000.0,
        endpoint: bool = False,
        offset: int = 0,
        scale: float = 1.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("SinusoidalPositions", dim=dim, theta=theta, scale=scale)
        check_rate("SinusoidalPositions", dropout=dropout)
        self.waves = dim // 2 - 1 if endpoint else dim // 2
        if dim % 2 or self.waves < 1:
            raise SpecError(
                f"{dim} channels can't hold the sines and cosines of as many waves",
                field="SinusoidalPositions.dim",
                hint="an even width of at least 4 can",
            )
        self.dim, self.layout, self.theta = dim, layout, theta
        self.offset, self.scale = offset, scale
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "SinusoidalPositions")
        step = Step.plain(x) if step is None else step
        kind = (self.dim, self.layout, self.theta, self.waves, self.offset, self.scale)
        key = (SinusoidalPositions, kind, "positions", x.dtype)
        table = step.once(key, lambda: self._make_table(step.positions, x.dtype))
        return self.drop(x + table)  # B T D

    def _make_table(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        places = positions + self.offset
        table = sinusoid(places, self.dim, self.layout, theta=self.theta, waves=self.waves)
        return (table * self.scale).to(dtype)  # B T D


def sinusoid(
    positions: Tensor,
    dim: int,
    layout: str,
    *,
    theta: float = 10_000.0,
    waves: int | None = None,
) -> Tensor:
    """[...] -> [... dim] in float64: sines and cosines of p · θ^(−i / n), n `waves`, dim/2 by rule.

    Positions may be distances, and negative.
    """
    # In float32 an angle of some hundred turns would be off by 1e-5; mps has nothing wider.
    wide = torch.float32 if positions.device.type == "mps" else torch.float64
    i = torch.arange(dim // 2, device=positions.device, dtype=wide)
    angle = positions[..., None] * theta ** (-i / (waves or dim // 2))  # ... dim/2
    parts = [angle.sin(), angle.cos()]
    return torch.cat(parts, -1) if layout == "halves" else torch.stack(parts, -1).flatten(-2)
