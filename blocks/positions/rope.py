"""Rotary position embedding: queries and keys turned by an angle that grows with the position."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops import native
from blocks.ops.check import check_positive
from blocks.ops.closed import learns, turned
from blocks.positions.scaling import Scaling, frequencies
from blocks.step import Step

__all__ = ["RoPE"]


class RoPE(nn.Module):
    r"""Each pair of channels i of queries and keys is turned by the angle m ω_i at position m:

        (x_a, x_b) ↦ (x_a cos mω_i − x_b sin mω_i,  x_b cos mω_i + x_a sin mω_i),   ω_i = θ^(−2i/R)

    so that scores depend on the distance of two positions alone. Su et al., "RoFormer", 2021,
    arXiv:2104.09864.

    Args:
        head_dim: width E of a head.
        heads, kv_heads: of queries and keys (not used: every head turns alike).
        theta: θ, the base of the frequencies.
        rotated: share of the channels that are turned; the rest pass unchanged.
        pairing: `half` pairs channel i with i + R/2, `adjacent` 2i with 2i + 1.
        scaling: how the frequencies are stretched for long sequences.

    Shapes: q [B H T E], k [B K T E] -> the same. R = head_dim · rotated channels turn. Angles are
        of float32, those of float64 heads of float64.

    Errors:
        SpecError: theta or rotated out of range, an odd number of channels, other heads.

    Example:
        >>> import torch
        >>> from blocks import RoPE, Step
        >>> q = k = torch.randn(1, 4, 6, 16)
        >>> step = Step.plain(torch.zeros(1, 6, 64))
        >>> turned, _ = RoPE(16, 4, 4, theta=10_000.0)(q, k, step)
        >>> bool(torch.allclose(turned.norm(dim=-1), q.norm(dim=-1), atol=1e-5))
        True
    """

    quick = False  # whether the library's kernels may turn

    def __init__(
        self,
        head_dim: int,
        heads: int,
        kv_heads: int,
        *,
        theta: float = 10_000.0,
        rotated: float = 1.0,
        pairing: Literal["half", "adjacent"] = "half",
        scaling: Scaling | None = None,
    ):
        super().__init__()
        check_positive("RoPE", head_dim=head_dim, theta=theta, rotated=rotated)
        self.dims = int(head_dim * rotated)
        if rotated > 1 or self.dims < 2 or self.dims % 2:
            raise SpecError(
                f"{rotated} of {head_dim} channels are {self.dims}, which don't form pairs",
                field="RoPE.rotated",
                hint="an even number of channels turns",
            )
        if scaling is not None:
            scaling.check(theta, self.dims)
        self.head_dim = head_dim
        self.theta, self.pairing, self.scaling = theta, pairing, scaling

    def forward(self, q: Tensor, k: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        if q.shape[-1] != self.head_dim or k.shape[-1] != self.head_dim:
            raise SpecError(
                f"heads are {q.shape[-1]} and {k.shape[-1]} wide, not {self.head_dim}",
                field="RoPE.head_dim",
            )
        if step.segments is not None and self.scaling is not None and self.scaling.by_length:
            raise SpecError(
                f"{type(self.scaling).__name__} needs one length a row, packed segments have many",
                field="segments",
            )
        key = (RoPE, self.theta, self.dims, self.scaling, "positions", "length", q.dtype)
        table = step.once(key, lambda: self.table(step.positions, step.length, q.dtype))
        return self._turned(q, table), self._turned(k, table)

    def table(self, positions: Tensor, length: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines [B 1 T R/2] for positions [B T]; length [B 1] may scale them."""
        positions = positions.to(torch.promote_types(dtype, torch.float32))
        if self.scaling is None:
            omega, magnitude = frequencies(self.theta, self.dims, positions), 1.0
        else:
            omega, magnitude = self.scaling(self.theta, self.dims, length.to(positions.dtype))
        if isinstance(magnitude, Tensor):
            magnitude = magnitude[..., None]  # B 1 1
        angle = positions[..., None] * omega.reshape(-1, 1, self.dims // 2)  # B T R/2
        cos, sin = angle.cos() * magnitude, angle.sin() * magnitude
        return cos.to(dtype)[:, None], sin.to(dtype)[:, None]  # B 1 T R/2

    def _turned(self, x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = table
        if self.quick and native.suits_rows(x, cos, sin):
            return torch.ops.blocks.turn(x, cos[:, 0], sin[:, 0], self.pairing != "half")
        part, rest = (x, None) if self.dims == self.head_dim else x.tensor_split((self.dims,), -1)
        if self.pairing == "half" and learns(part):
            y = turned(part, cos, sin)
        elif self.pairing == "half":
            a, b = part.chunk(2, -1)
            y = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        else:
            a, b = part.unflatten(-1, (-1, 2)).unbind(-1)
            y = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
        return y if rest is None else torch.cat([y, rest], -1)
