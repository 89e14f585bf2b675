"""Latent attention: all heads read their keys and values from one small vector a token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.mask import Causal, Mask
from blocks.attention.memory import KVState, recall
from blocks.attention.ring import state_for
from blocks.norm.rms import RMSNorm
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.ops.latent import attend_latent
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["LatentAttention"]


class LatentAttention(nn.Module):
    r"""[c; r] = W_down x is all that is kept of a token: a latent c and a rotary key r. Of them

        [k_h; v_h] = W_h norm(c),   [q_h; s_h] = Q_h norm(Q_down x)
        y_h = softmax((q_h k_hᵀ + rot(s_h) rot(r)ᵀ) · scale) v_h,   output = W_out [y_1 … y_H]

    A single new token is asked in the latents themselves, (q_h W_h^k) cᵀ, which is equal and needs
    no key of any head. DeepSeek-AI, "DeepSeek-V2", 2024, arXiv:2405.04434, section 2.1.

    Args:
        dim: width D of the input and output.
        heads: heads H.
        kv_rank: width R of the latent c.
        nope_dim, rope_dim: widths N and P of a head's two parts: without a position, and with.
        value_dim: width V of a head's values.
        q_rank: width of the queries' own latent; None projects queries from x by one matrix.
        norm: slot of the latents' norms, or None. Size (kv_rank) or (q_rank).
        bias: biases on the projections to latents.
        out_bias: a bias on the output projection.
        qk: what happens to s and r before the scores, in order: `RoPE`. Sizes (rope_dim, heads, 1).
        mask: which keys a query may see.
        scale: what scores are multiplied with; 1/√(N + P) by default.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D]. B batch, T tokens, S tokens seen.

    Errors:
        SpecError: a size below one, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import LatentAttention, State
        >>> mla = LatentAttention(64, heads=8, kv_rank=16, nope_dim=8, rope_dim=4, value_dim=8)
        >>> mla(torch.randn(1, 5, 64)).shape, State.of(mla, 1, room=10).nbytes == 10 * (16 + 4) * 4
        (torch.Size([1, 5, 64]), True)
    """

    by_hand = ("kv_up",)  # head by head, as two matrices

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        kv_rank: int,
        nope_dim: int,
        rope_dim: int,
        value_dim: int,
        q_rank: int | None = None,
        norm: Slot | None = RMSNorm,
        bias: bool = False,
        out_bias: bool = False,
        qk: tuple[Slot, ...] = (),
        mask: Mask = Causal(),  # frozen
        scale: float | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        sizes = {"kv_rank": kv_rank, "nope_dim": nope_dim, "rope_dim": rope_dim, "scale": scale}
        sizes |= {"dim": dim, "heads": heads, "value_dim": value_dim, "q_rank": q_rank}
        check_positive("LatentAttention", **sizes)
        check_rate("LatentAttention", dropout=dropout)
        e = nope_dim + rope_dim
        self.dim, self.heads, self.kv_rank = dim, heads, kv_rank
        self.nope_dim, self.rope_dim, self.value_dim = nope_dim, rope_dim, value_dim
        self.mask, self.scale, self.dropout = mask, e**-0.5 if scale is None else scale, dropout
        self.q = nn.Linear(dim, heads * e, bias=False) if q_rank is None else None
        self.q_down = nn.Linear(dim, q_rank, bias=bias) if q_rank else nn.Identity()
        self.q_norm = norm(q_rank) if q_rank and norm else nn.Identity()
        self.q_up = nn.Linear(q_rank, heads * e, bias=False) if q_rank else nn.Identity()
        self.kv_down = nn.Linear(dim, kv_rank + rope_dim, bias=bias)
        self.kv_norm = norm(kv_rank) if norm else nn.Identity()
        self.kv_up = nn.Linear(kv_rank, heads * (nope_dim + value_dim), bias=False)
        self.qk = nn.ModuleList([part(rope_dim, heads, 1) for part in qk])
        self.out = nn.Linear(heads * value_dim, dim, bias=out_bias)

    def forward(self, x: Tensor, step: Step | None = None, state: KVState | None = None) -> Tensor:
        check_input(x, self.dim, "LatentAttention")
        step = Step.plain(x) if step is None else step
        flat = self.q_up(self.q_norm(self.q_down(x))) if self.q is None else self.q(x)
        heads = flat.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T N+P
        q, s = heads.split([self.nope_dim, self.rope_dim], -1)
        c, r = self.kv_down(x)[:, None].split([self.kv_rank, self.rope_dim], -1)  # B 1 T R, … P
        for part in self.qk:
            s, r = part(s, r, step)
        kept = torch.cat([self.kv_norm(c), r], -1)  # B 1 T R+P
        none = kept[..., :0]  # values are read from what is kept as keys
        seen = recall("LatentAttention", state, kept, none, step)
        how: dict[str, Any] = {**seen.shown(self.mask, step), "scale": self.scale}
        how["dropout"] = self.dropout if self.training else 0.0
        y = attend_latent(q, s, seen.k, self.kv_up.weight, **how)  # B H T V
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        dims = (self.kv_rank + self.rope_dim, 0)
        return state_for(self.mask, batch, 1, room, dims, {"dtype": dtype, "device": device})
