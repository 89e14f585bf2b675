"""Which way a block of an optimised model is computed."""

from __future__ import annotations

from typing import Any

from torch import nn

from blocks.attention.gq import GQAttention
from blocks.attention.mask import Causal, Window
from blocks.heads.language import LMHead
from blocks.models.packing import PackedHead
from blocks.speed.quick import Quick
from blocks.wiring.kinds import unstreamed
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []

TAPED, COMPILED = "taped step", "compiled step"


def kind_of(module: nn.Module) -> type[Any]:
    """The class that a block is known by, whatever `optimize` has put in its place."""
    return LMHead if type(module) is PackedHead else unstreamed(module) or type(module)


def path_of(module: nn.Module, stepped: bool) -> str:
    """The path of one block, as `Part.path` has it, in a model with a step of its own or not."""
    quick = vars(module).get("forward")
    if isinstance(quick, Quick):
        return TAPED if quick.tape else COMPILED
    if isinstance(module, PackedLinear):
        return f"packed int{module.bits}"
    if unstreamed(module) or (stepped and isinstance(module, GQAttention) and _looks(module)):
        return "streamed"
    return "plain"


def _looks(attention: GQAttention) -> bool:
    """Whether a kernel does all that happens to the scores."""
    bare = attention.sinks is None and not attention.scores
    return bare and isinstance(attention.mask, Causal | Window)
