"""Latent attention as attention: its factors multiplied out again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.attention.latent import LatentAttention
from blocks.carry import Lines
from blocks.carry.heads import Attention, added, pooled, read, sizes_of, told
from blocks.carry.latents import turned_pairs, with_bias
from blocks.norm.rms import RMSNorm
from blocks.positions.rope import RoPE


def unfolded(old: LatentAttention, new: Attention) -> Lines:
    """Every head's keys and values are W_h W_down, and each has the key that all shared.

    Nothing is lost where latents have no norm and RoPE turns as many channels as before, the first
    of each head. A norm's division, which is another for each token, becomes one on the whole.
    """
    after, heads = sizes_of(new), old.heads
    if old.dim != new.q.weight.shape[1]:
        return
    n, v = old.nope_dim, old.value_dim
    down = with_bias(old.kv_down)
    latent = _normed(down[: old.kv_rank], old.kv_norm)
    each = old.kv_up.weight.to(latent).unflatten(0, (heads, n + v)) @ latent  # H N+V D+1
    shared = down[None, old.kv_rank :].expand(heads, -1, -1)  # H P D+1
    lost = ", a norm is lost" if isinstance(old.kv_norm, RMSNorm) else ""
    if after.key_dim == n + old.rope_dim:
        order = _order(old, new)
        key = torch.cat([each[:, :n], shared], 1)[:, order]
        yield from _heads("k", key, new.k, heads, after.k, f"multiplied out{lost}")
        query = _query(old).unflatten(0, (heads, -1))[:, order]
        scale = getattr(new, "scale", None) or after.key_dim**-0.5
        words = f"times {old.scale / scale:.3g} for the scale"
        yield from _heads("q", query * (old.scale / scale), new.q, heads, after.q, words)
    if after.value_dim == v and new.out.weight.shape[0] == old.out.weight.shape[0]:
        yield from _heads("v", each[:, n:], new.v, heads, after.v, f"multiplied out{lost}")
        writers = max(after.q, after.v)
        if writers == heads:
            yield "out", old.out
        else:
            yield "out.weight", read(old.out.weight, heads, writers), added(heads, writers)


def _heads(name: str, rows: Tensor, matrix: Any, before: int, after: int, words: str) -> Lines:
    both = rows.flatten(0, 1)
    if before != after:
        both, words = pooled(both, before, after), f"{words}, {told(before, after)}"
    yield f"{name}.weight", both[:, :-1], words
    if matrix.bias is not None:
        yield f"{name}.bias", both[:, -1], words


def _query(old: Any) -> Tensor:
    """[H·(N+P) D+1]"""
    if old.q is not None:
        return with_bias(old.q)
    down = _normed(with_bias(old.q_down), old.q_norm)
    return old.q_up.weight.to(down) @ down


def _normed(down: Tensor, norm: Any) -> Tensor:
    """What stands for a norm: its weight, by the size of a latent on the whole."""
    if not isinstance(norm, RMSNorm):
        return down
    size = (down[:, :-1].square().sum() / len(down)).sqrt()
    scaled = down / size
    return scaled if norm.weight is None else scaled * (norm.weight + norm.offset)[:, None]


def _order(old: LatentAttention, new: Any) -> list[int]:
    """For each channel of a new head the old one: what turned where turning is, the rest behind."""
    ropes = [
        next((p for p in getattr(b, "qk", ()) if isinstance(p, RoPE)), None) for b in (old, new)
    ]
    many = old.nope_dim + old.rope_dim
    turned = [old.nope_dim + i for i in range(old.rope_dim)]
    slots = list(range(old.rope_dim))
    if ropes[0] is not None and ropes[1] is not None and ropes[0].dims == ropes[1].dims:
        turned = [old.nope_dim + i for pair in turned_pairs(ropes[0]) for i in pair]
        slots = [i for pair in turned_pairs(ropes[1]) for i in pair]
    found = dict(zip(slots, turned, strict=True))
    rest = iter(i for i in range(many) if i not in found.values())
    return [found[i] if i in found else next(rest) for i in range(many)]
