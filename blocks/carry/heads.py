"""Attention for attention: fewer or more heads, of queries as of keys and values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from blocks.attention.chunked import ChunkAttention
from blocks.attention.circle import CircleAttention
from blocks.attention.cross import CrossAttention
from blocks.attention.gq import GQAttention
from blocks.attention.infini import InfiniAttention
from blocks.attention.longformer import LongformerAttention
from blocks.attention.lsh import LSHAttention
from blocks.attention.relative import RelativeAttention
from blocks.attention.turned import TurnedAttention
from blocks.carry import Lines
from blocks.norm.qk import QKNorm
from blocks.recurrent.gated_delta_net import GatedDeltaNet
from blocks.recurrent.linear_attention import LinearAttention

Attention = (
    GQAttention
    | CrossAttention
    | InfiniAttention
    | LinearAttention
    | ChunkAttention
    | CircleAttention
    | LongformerAttention
    | RelativeAttention
    | TurnedAttention
    | GatedDeltaNet
)


_HEADED = ("q", "k", "v", "out")


class Sizes(NamedTuple):
    """How many heads queries, keys and values have, and how wide a key and a value are."""

    q: int
    k: int
    v: int
    key_dim: int
    value_dim: int


def sizes_of(block: Any) -> Sizes:
    """The heads of whatever has the matrices q, k, v and out."""
    if isinstance(block, GatedDeltaNet):
        values, key_dim, value_dim = block.memory
        return Sizes(block.heads, block.heads, values, key_dim, value_dim)
    e = getattr(block, "head_dim", None) or block.q.weight.shape[0] // block.heads
    k = block.k.weight.shape[0] // e
    return Sizes(block.q.weight.shape[0] // e, k, k, e, block.v.weight.shape[0] // k)


def attention(old: Attention, new: Attention) -> Lines:
    """Queries, keys and values keep their heads, are repeated, or become means of neighbours."""
    yield from _others(old, new)
    before, after = sizes_of(old), sizes_of(new)
    if (
        old.q.weight.shape[1] != new.q.weight.shape[1]
        or old.out.weight.shape[0] != new.out.weight.shape[0]
    ):
        return
    if before.key_dim == after.key_dim:
        yield from _changed("q", old.q, new.q, before.q, after.q)
        yield from _changed("k", old.k, new.k, before.k, after.k)
        yield from _key_norms(old, new, before, after)
        sinks = [getattr(one, "sinks", None) for one in (old, new)]
        if before.q != after.q and isinstance(sinks[0], Tensor) and sinks[1] is not None:
            yield "sinks", pooled(sinks[0], before.q, after.q), told(before.q, after.q)
    if before.value_dim == after.value_dim:
        yield from _changed("v", old.v, new.v, before.v, after.v)
        writers = (_written(before), _written(after))
        if writers[0] == writers[1]:
            yield "out", old.out
        else:
            yield "out.weight", read(old.out.weight, *writers), added(*writers)
            if old.out.bias is not None and new.out.bias is not None:
                yield "out.bias", old.out.bias
    heads = before.q, before.k, before.key_dim
    if isinstance(new, LongformerAttention) and heads == (after.q, after.k, after.key_dim):
        for part in () if isinstance(old, LongformerAttention) else ("q", "k", "v"):
            yield f"{part}_global", getattr(old, part)


def _others(old: Any, new: Any) -> Lines:
    """All but the four matrices: they are heads, of which the shape doesn't tell how many."""
    own = dict(old.named_parameters(recurse=False)), dict(new.named_parameters(recurse=False))
    for held, wanted in (own, (dict(old.named_children()), dict(new.named_children()))):
        for name in wanted:
            alike = name in held and getattr(held[name], "shape", 0) == getattr(
                wanted[name], "shape", 0
            )
            if alike and name not in _HEADED:
                yield name, held[name]


def shared(old: Attention, new: LSHAttention) -> Lines:
    """One matrix is query and key: it takes the queries', as the keys have no place."""
    before, e = sizes_of(old), new.head_dim
    fits = (before.q, before.key_dim, before.value_dim) == (new.heads, e, e)
    if fits and old.q.weight.shape[1] == new.dim:
        yield "out", old.out
        yield "qk", old.q
        yield from _changed("v", old.v, new.v, before.v, new.heads)


def _written(sizes: Sizes) -> int:
    """Heads that the output matrix reads."""
    return max(sizes.q, sizes.v)


def _changed(name: str, old: nn.Linear, new: nn.Linear, before: int, after: int) -> Lines:
    if before == after:
        yield name, old
        return
    yield f"{name}.weight", pooled(old.weight, before, after), told(before, after)
    if new.bias is not None:
        if old.bias is None:
            yield f"{name}.bias", torch.zeros(new.weight.shape[0]), "zero: there was none"
        else:
            yield f"{name}.bias", pooled(old.bias, before, after), told(before, after)


def _key_norms(old: Any, new: Any, before: Sizes, after: Sizes) -> Lines:
    """Norms that know single heads."""
    norms = [part for part in getattr(old, "qk", ()) if isinstance(part, QKNorm)]
    for i, part in enumerate(getattr(new, "qk", ())):
        if not isinstance(part, QKNorm) or not norms:
            continue
        norm = norms.pop(0)
        for name, one, other in (("q", before.q, after.q), ("k", before.k, after.k)):
            if one == other:
                continue
            gains = getattr(norm, f"{name}_gain"), getattr(part, f"{name}_gain")
            if None not in gains:
                yield f"qk.{i}.{name}_gain", pooled(gains[0], one, other), told(one, other)
            if norm.over != part.over or norm.over == "head":
                continue
            there = dict(getattr(part, name).named_parameters())
            held = dict(getattr(norm, name).named_parameters())
            for place, tensor in _pooled_norm(held, norm.over == "each", one, other).items():
                if place in there:
                    yield f"qk.{i}.{name}.{place}", tensor, told(one, other)


def _pooled_norm(held: dict[str, Tensor], each: bool, before: int, after: int) -> dict[str, Tensor]:
    if not each:
        return {name: pooled(tensor, before, after) for name, tensor in held.items()}
    found: dict[str, Tensor] = {}
    for kind in {name.partition(".")[2] for name in held}:
        rows = pooled(torch.stack([held[f"{i}.{kind}"] for i in range(before)]), before, after)
        found |= {f"{i}.{kind}": row for i, row in enumerate(rows)}
    return found


def pooled(rows: Tensor, before: int, after: int) -> Tensor:
    """[before·n ...] -> [after·n ...]: each head as often as it takes, then means of neighbours."""
    common = math.lcm(before, after)
    many = rows.unflatten(0, (before, -1)).repeat_interleave(common // before, 0)
    if common > after:
        many = many.unflatten(0, (after, -1)).mean(1)
    return many.flatten(0, 1)


def told(before: int, after: int) -> str:
    """`pooled` in words."""
    common = math.lcm(before, after)
    times, means = common // before, common // after
    if means == 1:
        return f"each of {before} heads {times} times"
    return f"mean of {means} heads" if times == 1 else f"{before} heads as means of {after}"


def read(columns: Tensor, before: int, after: int) -> Tensor:
    """[D before·n] -> [D after·n]: what reads heads that were repeated or became means."""
    return pooled(columns.t(), before, after).t() * (before / after)


def added(before: int, after: int) -> str:
    """`read` in words."""
    few = after < before
    return f"of {before} heads for {after}: {'the sum' if few else 'a share'} of what reads each"
