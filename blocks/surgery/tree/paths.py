"""Which way a block of an optimised model is computed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from blocks.attention.gq import GQAttention
from blocks.attention.mask import Causal, Full, Window
from blocks.heads.language import LMHead
from blocks.models.packing import PackedHead
from blocks.moe.alike import matrices
from blocks.moe.moe import MoE
from blocks.ops import flexible, gpu, grouped
from blocks.ops.wants import wants
from blocks.speed.quick import Quick
from blocks.wiring.kinds import unstreamed
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []

TAPED, COMPILED, GRAPH = "taped step", "compiled step", "graph step"


def kind_of(module: nn.Module) -> type[Any]:
    """The class that a block is known by, whatever `optimize` has put in its place."""
    return LMHead if type(module) is PackedHead else unstreamed(module) or type(module)


def path_of(module: nn.Module, stepped: bool) -> str:
    """The path of one block, as `Part.path` has it, in a model with a step of its own or not."""
    quick = vars(module).get("forward")
    if isinstance(quick, Quick):
        return GRAPH if quick.on_gpu else TAPED if quick.tape else COMPILED
    if isinstance(module, PackedLinear):
        return f"packed int{module.bits}"
    first = next(module.parameters(), None)
    if first is not None and gpu.on(first):
        return _path_on_gpu(module, first)
    if unstreamed(module) or (stepped and isinstance(module, GQAttention) and _looks(module)):
        return "streamed"
    return "plain"


def _path_on_gpu(module: nn.Module, first: Tensor) -> str:
    """What a long text, or many of them, is computed by."""
    if isinstance(module, MoE) and gpu.multiplies_groups(first):
        found = matrices(list(module.experts), nn.Linear)
        return "grouped" if found and grouped.aligned(found) else "plain"
    if not isinstance(module, GQAttention):
        return "plain"
    parts, widths = list(module.scores), (module.head_dim, module.value_dim)
    if isinstance(module.mask, Causal | Full) and module.sinks is None and not parts:
        narrow = first.dtype in gpu.NARROW and widths[0] == widths[1]
        return "flash" if narrow and widths[0] <= 256 else "plain"
    biases = [part for part in parts if "k_positions" in wants(part)]
    maps = [part for part in parts if part not in biases]
    ruled = all(hasattr(part, "rule") for part in biases)
    return "rules" if ruled and flexible.takes(first.dtype, *widths, maps) else "plain"


def _looks(attention: GQAttention) -> bool:
    """Whether a kernel does all that happens to the scores."""
    bare = attention.sinks is None and not attention.scores
    return bare and isinstance(attention.mask, Causal | Window)
