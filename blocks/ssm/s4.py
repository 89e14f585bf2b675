"""S4: a state-space layer that starts as HiPPO's memory of all it has seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.mlp.activations import Activation
from blocks.ssm.hippo import hippo_dplr
from blocks.ssm.time_invariant import Out, TimeInvariant

__all__ = ["S4"]


class S4(TimeInvariant):
    r"""h' = A h + B u,  y = Re(C h) + D u for each channel, in steps of length Δ:

        h_t = (1 − ΔA/2)⁻¹ ((1 + ΔA/2) h_{t−1} + ΔB u_t),        A = Λ − P P*

    Λ is diagonal with the real part −exp(A_log), so that both matrices are those of Λ and one more
    of rank one (Woodbury), and a step costs N. A and B start as HiPPO-LegS. Gu, Goel and Ré,
    "Efficiently modeling long sequences with structured state spaces", 2021, arXiv:2111.00396. The
    kernel C Aᵗ B is found from powers of the matrix, for any length and any state before, instead
    of by the paper's sums at the roots of unity, which are for one length.

    Args:
        dim: channels D.
        state_dim: numbers N that each channel keeps, even: N/2 pairs of conjugates.
        dt: between which two lengths Δ starts.
        act: activation of y.
        out: what mixes the channels then: one matrix, or two of which one gates the other.

    Shapes: [B T D] -> [B T D].

    Errors:
        SpecError: an odd state, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import S4, State
        >>> s4, x = S4(8, state_dim=16), torch.randn(1, 6, 8)
        >>> state = State.of(s4, 1)
        >>> parts = [state.run(s4, part) for part in x.split(2, 1)]
        >>> torch.allclose(torch.cat(parts, 1), s4(x), atol=1e-5)
        True
    """

    def __init__(
        self,
        dim: int,
        *,
        state_dim: int = 64,
        dt: tuple[float, float] = (0.001, 0.1),
        act: Activation = "gelu",
        out: Out | None = "glu",
    ):
        super().__init__(dim, state_dim, dt, act, out)
        self.recurrence = "S4"
        if state_dim % 2:
            reason = f"numbers come in pairs of conjugates, {state_dim} is odd"
            raise SpecError(reason, field="S4.state_dim", hint="give an even number")
        self.A_log, self.A_imag = (nn.Parameter(torch.empty(dim, state_dim // 2)) for _ in "ri")
        self.P, self.B, self.C = (nn.Parameter(torch.empty(dim, state_dim // 2, 2)) for _ in "PBC")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        a, p, b = hippo_dplr(self.state_dim)
        with torch.no_grad():
            self.A_log.copy_((-a.real).log())
            self.A_imag.copy_(a.imag)
            self.P.copy_(torch.view_as_real(p))
            self.B.copy_(torch.view_as_real(b))
            nn.init.normal_(self.C, std=2**-0.5)

    def system(self, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Real matrices of a step: of both parts of every number, as a step takes the axes on."""
        axes = torch.eye(self.state_dim, dtype=wide, device=self.D.device)
        axes = torch.view_as_complex(axes.unflatten(1, (-1, 2)))[:, None]  # N 1 N/2
        none, one = (self.D.new_full((1, self.dim), n, dtype=wide) for n in (0.0, 1.0))
        a = torch.view_as_real(self._moved(axes, none)).flatten(2).permute(1, 2, 0)  # D N N
        b = torch.view_as_real(self._moved(0 * axes[:1], one)).flatten(2)[0]  # D N
        return a, b, torch.view_as_real(self._read(wide).conj().resolve_conj()).flatten(1)

    def one(self, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        h = self._moved(h, u)
        return h, (self._read(u.dtype) * h).sum(2).real

    def _moved(self, h: Tensor, u: Tensor) -> Tensor:
        """One step of complex states [R D N/2] with inputs [R D]."""
        wide = u.dtype
        gain = 2 / self.log_dt.to(wide).exp()[:, None]  # D 1
        a = torch.complex(-self.A_log.to(wide).exp(), self.A_imag.to(wide))
        p, b = (torch.view_as_complex(part.to(wide)) for part in (self.P, self.B))  # D N/2
        inverse = 1 / (gain - a)
        g = (gain + a) * h - p * _dot(p, h) + 2 * b * u[..., None]
        share = _dot(p, inverse * g) / (1 + _dot(p, inverse * p))  # R D 1
        return inverse * (g - p * share)

    def _read(self, wide: torch.dtype) -> Tensor:
        """C, twice, for each number stands for its conjugate as well."""
        return 2 * torch.view_as_complex(self.C.to(wide))


def _dot(p: Tensor, x: Tensor) -> Tensor:
    """p* x of all numbers, of which half are given: [… N/2] -> [… 1]."""
    return 2 * (p.conj() * x).sum(-1, keepdim=True).real
