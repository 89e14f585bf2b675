"""Attention to latents: the plain reference, and the path that never makes a head's keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.ops.attend import attend
from blocks.ops.watch import wanted

__all__: list[str] = []


def attend_latent(q: Tensor, s: Tensor, kept: Tensor, up: Tensor, **how: Any) -> Tensor:
    r"""y_h = softmax((q_h k_hᵀ + s_h rᵀ) · scale) v_h,   [k_h; v_h] = W_h c,   kept = [c; r]

    For one query it is cheaper to ask the latents themselves: q_h k_hᵀ = (q_h W_h^k) cᵀ, and
    y_h = W_h^v Σ weight · c. The same arithmetic in another order.

    Args:
        q, s: [B H T N] and [B H T P], the two parts of the queries.
        kept: [B 1 S R+P], latents and the key part that all heads share.
        up: [H·(N+V) R], W of all heads.
        **how: as for `attend`, `scale` among them.
    """
    if q.shape[2] > 1 or any(map(wanted, ("q", "k", "v", "pattern"))):
        return attend_latent_plain(q, s, kept, up, **how)
    rank, nope = up.shape[1], q.shape[-1]
    each = up.unflatten(0, (q.shape[1], -1))  # H N+V R
    to_k, to_v = each[:, :nope], each[:, nope:]
    asked = torch.cat([q @ to_k, s], -1)  # B H T R+P
    return attend(asked, kept, kept[..., :rank], **how) @ to_v.transpose(1, 2)  # B H T V


def attend_latent_plain(q: Tensor, s: Tensor, kept: Tensor, up: Tensor, **how: Any) -> Tensor:
    """The same as `attend_latent`, with every head's keys and values written out."""
    heads, rank, nope = q.shape[1], up.shape[1], q.shape[-1]
    c, r = kept[:, 0, :, :rank], kept[..., rank:]
    parts = (c @ up.T).unflatten(-1, (heads, -1)).transpose(1, 2)  # B H S N+V
    k = torch.cat([parts[..., :nope], r.expand(-1, heads, -1, -1)], -1)  # B H S N+P
    return attend(torch.cat([q, s], -1), k, parts[..., nope:], **how)  # B H T V
