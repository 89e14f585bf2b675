"""Softmax attention by rules on a GPU: neither masks nor biases nor scores are ever laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from blocks.ops import gpu
from blocks.ops.graphs import graph_of
from blocks.ops.table import Rule, Table, one
from blocks.ops.together import hooked
from blocks.ops.watch import looking

__all__: list[str] = []

LONG = 1024  # queries from which on it is used: fewer don't repay what compiling takes
_WIDTHS = range(16, 257)  # of heads, which the kernels can hold


def suits(
    q: Tensor,
    v: Tensor,
    *,
    seen: Tensor | Table | None,
    causal: bool,
    bias: Tensor | Table | None,
    maps: Sequence[Any],
    sinks: Tensor | None,
) -> bool:
    """Whether all is told by rules, and more is told than torch's flash kernels know."""
    if not gpu.on(q) or q.shape[2] < LONG or looking() or torch.compiler.is_exporting():
        return False
    if isinstance(seen, Tensor) or isinstance(bias, Tensor) or (causal and seen is None):
        return False
    if not takes(q.dtype, q.shape[-1], v.shape[-1], maps) or any(map(hooked, maps)):
        return False
    more = len(maps) > 0 or sinks is not None or bias is not None
    return more or (seen is not None and not causal)


def takes(dtype: torch.dtype, head_dim: int, value_dim: int, maps: Sequence[Any]) -> bool:
    """Whether kernels can be made for heads of these widths and for these maps of scores."""
    pointwise = all(getattr(part, "pointwise", False) for part in maps)
    narrow = dtype != torch.float64 and head_dim in _WIDTHS and value_dim in _WIDTHS
    return pointwise and narrow


def attend_by_rules(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    seen: Table | None = None,
    bias: Table | None = None,
    maps: Sequence[Callable[[Tensor], Tensor]] = (),
    sinks: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The same as `attend_plain`, block by block, those that hold nothing left out."""
    added = None if bias is None else bias.rule()

    def score(x: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        for function in maps:
            x = function(x)
        return x if added is None else x + added(one(b, h, i, j))

    changed = score if maps or added is not None else None
    blocks = None if seen is None else _blocks(seen, q.shape[2], k.shape[2], q.device)
    kind = (q.dtype, *q.shape[1::2], *v.shape[1::2], len(maps), bias is None, sinks is None)
    y, lse = _compiled(_attend, kind)(q, k, v, changed, blocks, scale, sinks is not None)
    if sinks is None:
        return y
    # One more term in the denominator: e^lse / (e^lse + e^sink) of what was found without it.
    return (y * torch.sigmoid(lse - sinks[:, None])[..., None]).to(q.dtype)  # B H T V


def _attend(
    q: Tensor, k: Tensor, v: Tensor, score: Any, blocks: Any, scale: float | None, lse: bool
) -> Any:
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention  # import the compiler

    grouped, more = q.shape[1] > k.shape[1], AuxRequest(lse=lse)
    y, found = flex_attention(
        q, k, v, score, blocks, scale=scale, enable_gqa=grouped, return_aux=more
    )
    return y, found.lse


def _blocks(seen: Table, queries: int, keys: int, device: torch.device) -> Any:
    """Which blocks hold anything that is seen; layers that share a table share them."""
    if seen.blocks is None:
        seen.blocks = _compiled(_find_blocks, ())(seen.rule(), seen.rows, queries, keys, device)
    return seen.blocks


def _find_blocks(sees: Rule, rows: int, queries: int, keys: int, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    return create_block_mask(
        lambda b, h, i, j: sees(one(b, h, i, j)), rows, None, queries, keys, device
    )


def _compiled(function: Callable[..., Any], kind: Any) -> Any:
    """As it is in a graph in the making; else with graphs of its own for each kind."""
    return function if torch.compiler.is_compiling() else _kept(function, kind)


@cache
def _kept(function: Callable[..., Any], kind: Any) -> Any:
    return graph_of(function)
