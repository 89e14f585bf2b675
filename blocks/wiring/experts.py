"""Experts whose chosen ones alone are read, all of them by one call of a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from blocks.moe.alike import matrices
from blocks.moe.moe import MoE
from blocks.ops import native
from blocks.ops.dispatch import dispatch
from blocks.wiring import packed, streamed, whole

__all__: list[str] = []

_numbers = count()
_enlisted: WeakValueDictionary[int, StreamedMoE] = WeakValueDictionary()


class StreamedMoE(MoE):
    """A `MoE` that a compiled step calls as one operation, whatever experts it has.

    Where few tokens go to each of them, experts that are alike are multiplied together.
    """

    number: int

    def enlist(self) -> None:
        """Gives it the number by which a compiled step finds it."""
        self.number = next(_numbers)
        _enlisted[self.number] = self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.enlist()  # a copy has experts of its own

    def mixed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        compiled = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        if compiled and not torch.is_grad_enabled():
            return torch.ops.blocks.experts(x, weights, chosen, self.number)
        if torch.compiler.is_compiling() or self.training or x.is_meta:
            return super().mixed(x, weights, chosen)
        return self.chosen_ones(x, weights, chosen)

    def chosen_ones(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """The same, of numbers that are known."""
        n, k = chosen.shape
        names = chosen.flatten().tolist()  # N·k
        used = names if n == 1 else sorted(set(names))
        counts = [names.count(name) for name in used]
        experts: list[Any] = [self.experts[name] for name in used]
        if not n or not _together(experts, max(counts), x):
            return dispatch(x, weights, chosen, self.experts)
        gates = [part for expert in experts for part in (expert.gate, expert.up)]
        downs = [expert.down for expert in experts]
        if n == 1:  # one input of all: nothing is to be sorted
            gate, up = _products(x, gates, [1]).view(k, -1).chunk(2, -1)  # k F
            rows = _products(experts[0].gated(gate, up), downs, counts)
            return (rows * weights.T).sum(0, keepdim=True).to(x.dtype)  # 1 D
        order = torch.tensor(sorted(range(n * k), key=names.__getitem__))
        gate, up = _products(x[order // k], gates, counts).chunk(2, -1)  # N·k F
        found = _products(experts[0].gated(gate, up), downs, counts)
        rows = torch.empty_like(found).index_copy_(0, order, found).view(n, k, -1)
        return (rows * weights[..., None]).sum(1).to(x.dtype)  # N D


def _together(experts: Sequence[Any], most: int, x: Tensor) -> bool:
    """Whether the kernels can take these experts, of which one gets `most` tokens, together."""
    found = matrices(experts, packed.PackedLinear, streamed.Streamed)
    if found is None:
        return False
    parts = [part for some in found for part in some]
    if type(parts[0]) is packed.PackedLinear:
        return whole.ready(parts, x, most)
    few = most <= native.FEW.get(x.dtype, 0)
    return few and native.suits(x, *(part.weight for part in parts))


def _products(x: Tensor, parts: Sequence[Any], counts: list[int]) -> Tensor:
    """Groups of rows [R D], each multiplied by the next of the matrices -> [R O]."""
    first, kernels = parts[0], torch.ops.blocks
    if isinstance(first, nn.Linear):
        y = kernels.products(x, [part.weight for part in parts], counts)
    else:
        y = whole.multiplied("products", parts, x, counts)
    if first.bias is None:
        return y
    bias = torch.stack([part.bias for part in parts]).view(len(counts), -1)
    return y + bias.repeat_interleave(torch.tensor(counts), 0)


def _experts(x: Tensor, weights: Tensor, chosen: Tensor, number: int) -> Tensor:
    return _enlisted[number].chosen_ones(x, weights, chosen)


_library = torch.library.Library("blocks", "FRAGMENT")
_library.define("experts(Tensor x, Tensor weights, Tensor chosen, int number) -> Tensor")
_library.impl("experts", _experts, "CompositeExplicitAutograd")
torch.library.register_fake("blocks::experts", lambda x, *others: torch.empty_like(x))
