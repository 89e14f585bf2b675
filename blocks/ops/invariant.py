"""Time-invariant recurrences h_t = A h_{t−1} + b u_t, y_t = Re(c·h_t): all of them at once.

A step depends on no token, so that its powers say everything. They are found by squaring, as many
as reach √L; those between are products of two of them, one from either end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__: list[str] = []


def convolved(u: Tensor, kernel: Tensor) -> Tensor:
    """y_t = Σ_{s≤t} kernel_{t−s} u_s by a Fourier transform: [D R L], [D L] -> [D R L]."""
    length = u.shape[-1]
    if not u.numel():  # no row: a transform of nothing is refused
        return u
    size = 2 * length  # so that the end of the kernel doesn't come round to the first tokens
    spectrum = torch.fft.rfft(u, size) * torch.fft.rfft(kernel, size)[:, None]
    return torch.fft.irfft(spectrum, size)[..., :length]


def after(a: Tensor, x: Tensor) -> Tensor:
    """A x for A [D N N], or [D N] where it is diagonal, and x [D N M]."""
    return a[..., None] * x if a.dim() == 2 else a @ x


def before(x: Tensor, a: Tensor) -> Tensor:
    """x A for x [D M N]."""
    return x * a[:, None] if a.dim() == 2 else x @ a


class Response:
    """What D such recurrences answer to within L steps.

    Attributes:
        powers: A to the 1, 2, 4 … M, where M² ≥ L.
        columns: A^j b for j < M, [D N M].
        rows: c A^j likewise, [D M N].

    Args:
        a: what a step leaves of the state, [D N N], or [D N] where it is diagonal.
        b: what it adds, [D N].
        c: how the state is read, [D N].
        length: L.
    """

    def __init__(self, a: Tensor, b: Tensor, c: Tensor, length: int):
        doublings = ((length - 1).bit_length() + 1) // 2
        self.length, self.size = length, 1 << doublings
        self.groups = -(-length // self.size)
        self.powers, self.columns, self.rows = [a], b[..., None], c[:, None]
        for _ in range(doublings):
            a = self.powers[-1]
            self.columns = torch.cat([self.columns, after(a, self.columns)], 2)
            self.rows = torch.cat([self.rows, before(self.rows, a)], 1)
            self.powers.append(a * a if a.dim() == 2 else a @ a)

    def kernel(self) -> Tensor:
        """Re(c A^t b) for t < L: [D L]."""
        return self.free(self.columns[..., :1])[:, 0]

    def free(self, h: Tensor) -> Tensor:
        """Re(c A^t h) for t < L, where no token comes in: [D N R] -> [D R L]."""
        starts = [h]
        for _ in range(1, self.groups):
            starts.append(after(self.powers[-1], starts[-1]))
        y = self.rows @ torch.stack(starts, 3).flatten(2)  # D M R·G
        y = y.unflatten(2, (h.shape[2], self.groups)).permute(0, 2, 3, 1).flatten(2)
        return (y.real if y.is_complex() else y)[..., : self.length]

    def last(self, u: Tensor, lengths: Tensor, h: Tensor | None) -> Tensor:
        """The state of each row after as many tokens as it has.

        Args:
            u: [D R L].
            lengths: [R].
            h: the states before, [D N R]; zeros by default.

        Returns:
            [D N R].
        """
        back = lengths[:, None] - 1 - torch.arange(self.length, device=u.device)  # R L
        newest = u.gather(2, back.clamp(min=0).expand(len(u), -1, -1)) * (back >= 0)
        newest = F.pad(newest, (0, self.groups * self.size - self.length))
        newest = newest.unflatten(2, (self.groups, self.size)).permute(0, 3, 1, 2)  # D M R G
        found = self.columns @ newest.flatten(2).to(self.columns.dtype)  # D N R·G
        parts = list(found.unflatten(2, newest.shape[2:]).unbind(3))
        if h is not None:
            h, whole = self._brought(h, lengths % self.size), lengths // self.size
            parts += [torch.zeros_like(h)] * (self.groups == self.length // self.size)
            parts = [part + h * (whole == i) for i, part in enumerate(parts)]
        total = parts.pop()
        while parts:
            total = after(self.powers[-1], total) + parts.pop()
        return total

    def _brought(self, h: Tensor, steps: Tensor) -> Tensor:
        """A^steps h for states [D N R], each with its own number of steps below M, [R]."""
        for bit, power in enumerate(self.powers[:-1]):
            h = torch.where((steps >> bit) % 2 == 1, after(power, h), h)
        return h
