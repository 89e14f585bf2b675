"""Which way a block of an optimised model is computed."""

from __future__ import annotations

from typing import Any

from torch import nn

from blocks.attention.gq import GQAttention
from blocks.heads.language import LMHead
from blocks.models.packing import PackedHead
from blocks.speed.quick import Quick
from blocks.wiring.packed import PackedLinear
from blocks.wiring.streamed import unstreamed

__all__: list[str] = []


def kind_of(module: nn.Module) -> type[Any]:
    """The class that a block is known by, whatever `optimize` has put in its place."""
    return LMHead if type(module) is PackedHead else unstreamed(module) or type(module)


def path_of(module: nn.Module, compiled: bool) -> str:
    """The path of one block, in a model whose step is compiled or not.

    "streamed" is a kernel that reads weights, or keys and values, once and in order, where there
    are few rows; "plain" is torch's own.
    """
    if isinstance(vars(module).get("forward"), Quick):
        return "compiled step"
    if isinstance(module, PackedLinear):
        return f"packed int{module.bits}"
    looks = compiled and isinstance(module, GQAttention) and module.sinks is None
    if unstreamed(module) or (looks and not module.scores):
        return "streamed"
    return "plain"
