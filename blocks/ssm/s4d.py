"""S4D: a state-space layer whose matrix is diagonal."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.mlp.activations import Activation
from blocks.ssm.hippo import hippo_dplr
from blocks.ssm.time_invariant import Out, TimeInvariant

__all__ = ["S4D"]


class S4D(TimeInvariant):
    r"""h' = A h + u,  y = Re(C h) + D u for each channel, in steps of length Δ, A diagonal

        zoh:        h_t = e^{ΔA} h_{t−1} + (e^{ΔA} − 1) A⁻¹ u_t
        bilinear:   h_t = (1 − ΔA/2)⁻¹ ((1 + ΔA/2) h_{t−1} + Δ u_t)

    A starts as −½ + iπn (`lin`), −½ + i(N/π)(N/(2n+1) − 1) (`inv`), the diagonal of S4's (`legs`),
    or −(n+1) and stays real (`real`). Its real part is −exp(A_log). Gu et al., "On the
    parameterization and initialization of diagonal state space models", 2022, arXiv:2206.11893.

    Args:
        dim: channels D.
        state_dim: numbers N that each channel keeps; two of them are one complex number.
        init: how A starts.
        method: how a step is made of the continuous recurrence.
        dt: between which two lengths Δ starts.
        act: activation of y.
        out: what mixes the channels then: one matrix, or two of which one gates the other.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: an odd state of complex numbers, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import S4D, State
        >>> s4d, x = S4D(8, state_dim=16), torch.randn(1, 6, 8)
        >>> state = State.of(s4d, 1)
        >>> parts = [state.run(s4d, part) for part in x.split(2, 1)]
        >>> torch.allclose(torch.cat(parts, 1), s4d(x), atol=1e-5)
        True
    """

    def __init__(
        self,
        dim: int,
        *,
        state_dim: int = 64,
        init: Literal["inv", "legs", "lin", "real"] = "lin",
        method: Literal["bilinear", "zoh"] = "zoh",
        dt: tuple[float, float] = (0.001, 0.1),
        act: Activation = "gelu",
        out: Out | None = "glu",
    ):
        super().__init__(dim, state_dim, dt, act, out)
        self.init, self.method, self.paired = init, method, init != "real"
        self.recurrence = f"an S4D of {'complex' if self.paired else 'real'} numbers by {method}"
        if self.paired and state_dim % 2:
            reason = f"complex numbers are two each, {state_dim} are none"
            raise SpecError(
                reason, field="S4D.state_dim", hint='give an even number, or init="real"'
            )
        size = state_dim // 2 if self.paired else state_dim
        self.A_log = nn.Parameter(torch.empty(dim, size))
        self.A_imag = nn.Parameter(torch.empty(dim, size)) if self.paired else None
        self.C = nn.Parameter(torch.empty(dim, size, 2) if self.paired else torch.empty(dim, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        n = torch.arange(self.A_log.shape[1], dtype=torch.float64)
        with torch.no_grad():
            self.A_log.copy_(torch.full_like(n, 0.5).log() if self.paired else (n + 1).log())
            if self.A_imag is not None:
                self.A_imag.copy_(self._waves(n))
            nn.init.normal_(self.C, std=2**-0.5 if self.paired else 1.0)

    def _waves(self, n: Tensor) -> Tensor:
        """Imaginary parts of a fresh A."""
        if self.init == "lin":
            return math.pi * n
        if self.init == "inv":
            return self.state_dim / math.pi * (self.state_dim / (2 * n + 1) - 1)
        return hippo_dplr(self.state_dim)[0].imag

    def system(self, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        dt, a, c = self.log_dt.to(wide).exp()[:, None], -self.A_log.to(wide).exp(), self.C.to(wide)
        if self.A_imag is not None:
            # Twice, for each number stands for its conjugate as well.
            a, c = torch.complex(a, self.A_imag.to(wide)), 2 * torch.view_as_complex(c)
        if self.method == "zoh":
            return (dt * a).exp(), torch.expm1(dt * a) / a, c
        half = dt * a / 2
        return (1 + half) / (1 - half), dt / (1 - half), c
