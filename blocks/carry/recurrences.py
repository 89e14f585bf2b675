"""Attention as a recurrence: what a query, a key and a value are in it (Dao and Gu, 2024)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.carry import Fresh, Lines
from blocks.carry.heads import Attention, added, pooled, read, sizes_of, told
from blocks.recurrent.rwkv import RWKV
from blocks.ssm.mamba import Mamba
from blocks.ssm.mamba2 import Mamba2

# Linear attention is y_t = Σ (q_t·k_s) v_s; a state space model y_t = Σ (c_t·b_s) decay x_s. So c
# is the query, b the key and x the value: arXiv:2405.21060, with trained weights arXiv:2408.15237.

_LETTER = {"q": "c", "k": "b"}


def dual(old: Attention, new: Mamba2, fresh: Fresh) -> Lines:
    """x, b and c from values, keys and queries; the rest as Mamba2 draws it."""
    heads, dim = sizes_of(old), old.q.weight.shape[1]
    (groups, state), inner = new.group, new.widths[0]
    width = inner // new.heads
    if dim != new.dim:
        return
    weight, done = fresh("inputs.weight").to(old.q.weight), []
    at = inner
    for name, matrix, before, after, fits in (
        ("x the values", old.v, heads.v, new.heads, width == heads.value_dim),
        ("b the keys", old.k, heads.k, groups, state == heads.key_dim),
        ("c the queries", old.q, heads.q, groups, state == heads.key_dim),
    ):
        rows = after * (width if matrix is old.v else state)
        if fits:
            weight = _put(weight, pooled(matrix.weight, before, after), at)
            done.append(name if before == after else f"{name}, {told(before, after)}")
        at += rows
    if done:
        yield "inputs.weight", weight, f"{'; '.join(done)}; the rest is new"
    yield from _read(old, new, max(heads.q, heads.v), new.heads, width == heads.value_dim)


def primal(old: Mamba2, new: Attention) -> Lines:
    """The other way round: values, keys and queries from x, b and c."""
    heads, (groups, state), inner = sizes_of(new), old.group, old.widths[0]
    if old.dim != new.q.weight.shape[1]:
        return
    _, x, b, c, _ = old.inputs.weight.split([inner, *old.widths, old.heads])
    if state == heads.key_dim:
        for name, rows, after in (("q", c, heads.q), ("k", b, heads.k)):
            words = "" if groups == after else f", {told(groups, after)}"
            yield f"{name}.weight", pooled(rows, groups, after), f"{_LETTER[name]}{words}"
    if inner // old.heads == heads.value_dim:
        words = "" if old.heads == heads.v else f", {told(old.heads, heads.v)}"
        yield "v.weight", pooled(x, old.heads, heads.v), f"x{words}"
        yield from _read(old, new, old.heads, max(heads.q, heads.v), True)


def selected(old: Attention, new: Mamba, fresh: Fresh) -> Lines:
    """Values are what is summed; b and c read the convolved values, so keys have no place."""
    heads = sizes_of(old)
    many = max(heads.q, heads.v)
    channels = many * heads.value_dim
    if old.q.weight.shape[1] != new.dim or channels > new.inner:
        return
    values = pooled(old.v.weight, heads.v, many)
    words = f"values in {channels} of {new.inner} channels; the rest is new"
    yield "inputs.weight", _put(fresh("inputs.weight").to(values), values, 0), words
    if old.out.weight.shape[0] == new.dim:
        if channels == new.inner:
            yield "out.weight", old.out.weight
        else:
            out = torch.cat([old.out.weight, fresh("out.weight").to(values)[:, channels:]], 1)
            yield "out.weight", out, f"what read {channels} channels of values; the rest is new"


def faded(old: Attention, new: RWKV) -> Lines:
    """Keys, values and receptance of keys, values and queries, each channel for itself."""
    heads = sizes_of(old)
    many = max(heads.q, heads.v)
    if old.q.weight.shape[1] != new.dim:
        return
    for name, matrix, before, width in (
        ("k", old.k, heads.k, heads.key_dim),
        ("v", old.v, heads.v, heads.value_dim),
        ("r", old.q, heads.q, heads.key_dim),
    ):
        if many * width == new.inner:
            words = "" if before == many else told(before, many)
            weight = matrix.weight if before == many else pooled(matrix.weight, before, many)
            yield f"{name}.weight", weight, words or ("the queries" if name == "r" else "")
    if old.out.weight.shape == new.out.weight.shape:
        yield "out.weight", old.out.weight


def _put(matrix: Tensor, rows: Tensor, at: int) -> Tensor:
    return torch.cat([matrix[:at], rows, matrix[at + len(rows) :]])


def _read(old: Any, new: Any, before: int, after: int, fits: bool) -> Lines:
    if fits and old.out.weight.shape[0] == new.out.weight.shape[0]:
        if before == after:
            yield "out.weight", old.out.weight
        else:
            yield "out.weight", read(old.out.weight, before, after), added(before, after)
        if old.out.bias is not None and new.out.bias is not None:
            yield "out.bias", old.out.bias
