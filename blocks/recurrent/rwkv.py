"""RWKV's time mix: a mean of all values so far, in which each channel forgets at its own pace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.ops.check import check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.ops.wkv import wkv
from blocks.state import Content
from blocks.step import Step

__all__ = ["RWKV", "WKVState"]


@dataclass
class WKVState(Content):
    """The last token [B 1 D]; sums of weighed values and of weights, counted from a peak [B C]."""

    timeless = True
    tail: Tensor
    over: Tensor
    under: Tensor
    peak: Tensor


class RWKV(nn.Module):
    r"""Of each channel the mean of all values so far, weighed by exp(k), less the longer ago:

        y_t = (Σ_{i<t} e^{k_i − (t−1−i) w} v_i + e^{u + k_t} v_t) / (the same without v)
        output = W_out (σ(W_r x^r) ⊙ y),    k = W_k x^k,    v = W_v x^v,    w = exp(fade_log)

    where x^k = m_k ⊙ x_t + (1 − m_k) ⊙ x_{t−1}, and so on. Peng et al., "RWKV", 2023,
    arXiv:2305.13048: RWKV-4. Sums are kept from overflow, in at least float32.

    Args:
        dim: width D of the input and output.
        inner: channels C of keys and values, D by default.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: a size below one, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import RWKV, Chain, LayerNorm, Residual, RWKVChannelMix, Spec
        >>> parts = {"mixer": RWKV, "mlp": RWKVChannelMix}
        >>> layer = Chain(
        ...     16, steps={n: Spec(Residual, inner=p, norm_in=LayerNorm) for n, p in parts.items()}
        ... )
        >>> layer(torch.randn(1, 5, 16)).shape
        torch.Size([1, 5, 16])
    """

    def __init__(self, dim: int, *, inner: int | None = None):
        super().__init__()
        check_positive("RWKV", dim=dim, inner=inner)
        self.dim, self.inner = dim, inner or dim
        self.k, self.v, self.r = (nn.Linear(dim, self.inner, bias=False) for _ in range(3))
        self.k_mix, self.v_mix, self.r_mix = (nn.Parameter(torch.empty(dim)) for _ in range(3))
        self.fade_log, self.bonus = (nn.Parameter(torch.empty(self.inner)) for _ in range(2))
        self.out = nn.Linear(self.inner, dim, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for share in (self.k_mix, self.v_mix, self.r_mix):
            nn.init.uniform_(share)
        nn.init.uniform_(self.fade_log, -5, 3)
        nn.init.uniform_(self.bonus, -1.7, -0.7)

    def forward(self, x: Tensor, step: Step | None = None, state: WKVState | None = None) -> Tensor:
        check_input(x, self.dim, "RWKV")
        if state is not None:
            check_state("RWKV", state, WKVState, x, tail=(1, self.dim), over=(self.inner,))
        rows = Rows() if step is None else Rows.of(step)
        x = rows.take(x)  # R L D
        now = state or self.init_state(len(x), None, x.dtype, x.device)
        before = torch.cat([now.tail, x[:, :-1]], 1)
        now.tail = rows.newest(now.tail, x)
        wide = now.over.dtype
        k = self.k(torch.lerp(before, x, self.k_mix)).to(wide)
        v = self.v(torch.lerp(before, x, self.v_mix)).to(wide)
        r = self.r(torch.lerp(before, x, self.r_mix)).sigmoid()
        r, k, v = rows.noted(r=r, k=k, v=v)
        fade, bonus = self.fade_log.to(wide).exp(), self.bonus.to(wide)
        sums = (now.over, now.under, now.peak)
        y, (now.over, now.under, now.peak) = wkv(k, v, fade, bonus, sums, rows.lengths)
        return rows.put(self.out(r * y.to(x.dtype)))  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> WKVState:
        wide = torch.promote_types(dtype, torch.float32)
        none = torch.zeros(batch, self.inner, dtype=wide, device=device)
        tail = torch.zeros(batch, 1, self.dim, dtype=dtype, device=device)
        return WKVState(tail, none, none, none.clone().fill_(-1e38))
