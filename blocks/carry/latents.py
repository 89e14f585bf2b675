"""Attention as latent attention: its matrices in two factors each."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from blocks.attention.gq import GQAttention
from blocks.attention.latent import LatentAttention
from blocks.carry import Lines
from blocks.carry.heads import sizes_of
from blocks.norm.rms import RMSNorm
from blocks.positions.rope import RoPE


class _Channels(NamedTuple):
    """Where a head's channels go: slot -> old channel; None is a slot that stays empty."""

    still: list[int | None]
    turned: list[int | None]
    stopped: int


def factored(old: GQAttention, new: LatentAttention) -> Lines:
    """[W_k; W_v] by its best approximation of rank R (Eckart and Young); queries likewise.

    The key that all heads share and RoPE turns becomes the mean of the heads' keys, in those
    channels whose frequencies the new RoPE has; RoPE's other channels stand still. So nothing is
    lost at full rank without RoPE, or with one key head and room for what it turns, where the
    latents have no norm.
    """
    if old.out.weight.shape == new.out.weight.shape:
        yield "out", old.out
    heads = sizes_of(old)
    sizes = (heads.q, heads.value_dim, old.dim)
    if sizes != (new.heads, new.value_dim, new.dim):
        return
    channels = _channels(old, new, heads.key_dim)
    key, value, query = (
        with_bias(part).unflatten(0, (count, -1))
        for part, count in ((old.k, heads.k), (old.v, heads.k), (old.q, heads.q))
    )
    still = torch.cat([_taken(key, channels.still), value], 1)  # K N+V D+1
    down, up, share = _factors(still.flatten(0, 1), new.kv_rank)
    up = up.unflatten(0, (heads.k, -1)).repeat_interleave(heads.q // heads.k, 0).flatten(0, 1)
    turned = _taken(key, channels.turned).mean(0)  # P D+1
    means = f", of {heads.k} heads the mean turned key" if heads.k > 1 and _any(channels) else ""
    stops = f", {channels.stopped} channels of RoPE stand still" if channels.stopped else ""
    biased = old.k.bias is not None or old.v.bias is not None
    lost = ", their biases are lost" if biased and new.kv_down.bias is None else ""
    words = f"rank {new.kv_rank} holds {share:.1%} of keys and values"
    yield from _split(
        "kv_down", torch.cat([down, turned]), new.kv_down, words + means + stops + lost
    )
    yield "kv_up.weight", up, words
    yield from _steadied("kv_norm", down, new.kv_norm)
    scale = heads.key_dim**-0.5 if old.scale is None else old.scale
    both = torch.cat([_taken(query, channels.still), _taken(query, channels.turned)], 1)
    both = both.flatten(0, 1) * (scale / new.scale)  # H·(N+P) D+1
    if new.q is not None:
        lost = "" if old.q.bias is None else ", its bias is lost"
        yield "q.weight", both[:, :-1], f"times {scale / new.scale:.3g} for the scale{lost}"
        return
    matrix: Any = new.q_down
    down, up, share = _factors(both, matrix.weight.shape[0])
    words = f"rank {len(down)} holds {share:.1%} of queries"
    yield from _split("q_down", down, matrix, words)
    yield "q_up.weight", up, words
    yield from _steadied("q_norm", down, new.q_norm)


def _channels(old: GQAttention, new: LatentAttention, e: int) -> _Channels:
    """Which of a head's channels the new one turns, and which it leaves as they are."""
    before, after = (next((p for p in b.qk if isinstance(p, RoPE)), None) for b in (old, new))
    turned: list[int | None] = [None] * new.rope_dim
    pairs = [] if before is None else turned_pairs(before)
    if before is not None and after is not None:
        slots = turned_pairs(after)
        for i, (one, other) in enumerate(slots):
            if i * len(pairs) % len(slots) and len(pairs) < len(slots):
                continue  # a frequency that the old one hasn't
            turned[one], turned[other] = pairs[i * len(pairs) // len(slots)]
    used = {channel for channel in turned if channel is not None}
    # Those that no one turned go first, then those that turned slowest.
    free = [c for c in range(e) if c not in {x for pair in pairs for x in pair}]
    slow = [c for pair in reversed(pairs) for c in pair if c not in used]
    still: list[int | None] = [*sorted((free + slow)[: new.nope_dim])]
    still += [None] * (new.nope_dim - len(still))
    return _Channels(still, turned, len(slow))


def turned_pairs(rope: RoPE) -> list[tuple[int, int]]:
    """The channels that turn together, the quickest first."""
    half = rope.dims // 2
    return [(i, i + half) if rope.pairing == "half" else (2 * i, 2 * i + 1) for i in range(half)]


def _any(channels: _Channels) -> bool:
    return any(channel is not None for channel in channels.turned)


def _taken(heads: Tensor, channels: list[int | None]) -> Tensor:
    """[H E D] -> [H slots D], zero where a slot is empty."""
    empty = torch.zeros_like(heads[:, 0])
    rows = [empty if channel is None else heads[:, channel] for channel in channels]
    return torch.stack(rows, 1)


def with_bias(matrix: Any) -> Tensor:
    """[out in+1]: the bias as one more column, in numbers wide enough to be factored."""
    weight = matrix.weight.double()
    bias = weight.new_zeros(len(weight)) if matrix.bias is None else matrix.bias.double()
    return torch.cat([weight, bias[:, None]], 1)


def _factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """down [rank in], up [out rank] and the share of the matrix that they hold."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    kept = min(rank, len(s))
    root = s[:kept].sqrt()
    down, up = root[:, None] * v[:kept], u[:, :kept] * root
    share = float((s[:kept].square().sum() / s.square().sum().clamp(min=1e-300)).detach())
    more = rank - kept
    down = torch.cat([down, down.new_zeros(more, down.shape[1])])
    return down, torch.cat([up, up.new_zeros(len(up), more)], 1), share


def _split(name: str, both: Tensor, matrix: Any, words: str) -> Lines:
    """Weight and bias of what `with_bias` has put together."""
    yield f"{name}.weight", both[:, :-1], words
    if matrix.bias is not None:
        yield f"{name}.bias", both[:, -1], words


def _steadied(name: str, down: Tensor, norm: Any) -> Lines:
    """A norm divides each latent by its size: it is multiplied with what that is on the whole."""
    if isinstance(norm, RMSNorm) and norm.weight is not None:
        size = (down[:, :-1].square().sum() / len(down)).sqrt() - norm.offset
        words = "the size of a latent on the whole; what differs from it by token is lost"
        yield f"{name}.weight", size.expand(norm.dim), words
