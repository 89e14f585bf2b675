"""The names under which a model's activations are known, the same ones in every model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from blocks.arguments import near_words
from blocks.attention.additive import AdditiveAttention
from blocks.attention.chunked import ChunkAttention
from blocks.attention.circle import CircleAttention
from blocks.attention.cross import CrossAttention
from blocks.attention.gq import GQAttention
from blocks.attention.infini import InfiniAttention
from blocks.attention.latent import LatentAttention
from blocks.attention.longformer import LongformerAttention
from blocks.attention.lsh import LSHAttention
from blocks.attention.relative import RelativeAttention
from blocks.attention.turned import TurnedAttention
from blocks.conv.molecules import Molecules
from blocks.edit import matches
from blocks.errors import SpecError
from blocks.moe.moe import MoE
from blocks.recurrent.attending import Attending
from blocks.recurrent.channel_mix import RWKVChannelMix
from blocks.recurrent.gated_delta_net import GatedDeltaNet
from blocks.recurrent.linear_attention import LinearAttention
from blocks.recurrent.rwkv import RWKV
from blocks.ssm.mamba import Mamba
from blocks.ssm.mamba2 import Mamba2
from blocks.wiring.chain import Chain
from blocks.wiring.packed import PackedLinear
from blocks.wiring.residual import Residual
from blocks.wiring.streamed import Streamed

__all__: list[str] = []

_SOFTMAX = ("q", "k", "v", "pattern")

# What blocks let pass `noted`.
INNER: Mapping[type[nn.Module], tuple[str, ...]] = {
    AdditiveAttention: ("pattern",),
    Attending: ("pattern",),
    ChunkAttention: _SOFTMAX,
    CircleAttention: _SOFTMAX,
    CrossAttention: _SOFTMAX,
    GQAttention: _SOFTMAX,
    GatedDeltaNet: ("q", "k", "v"),
    LSHAttention: ("q", "v", "pattern"),
    LatentAttention: _SOFTMAX,
    LinearAttention: ("q", "k", "v"),
    LongformerAttention: _SOFTMAX,
    Mamba: ("u", "dt", "b", "c"),
    Mamba2: ("u", "dt", "b", "c"),
    MoE: ("routing",),
    RWKV: ("r", "k", "v"),
    RWKVChannelMix: ("hidden",),
    RelativeAttention: _SOFTMAX,
    TurnedAttention: _SOFTMAX,
}
HEADED = (
    *(ChunkAttention, CircleAttention, CrossAttention, GQAttention, InfiniAttention),
    *(LSHAttention, LatentAttention, LongformerAttention, RelativeAttention, TurnedAttention),
)
# What can be seen and not be changed, and why.
READ: Mapping[tuple[type[nn.Module], str], str] = {
    (Attending, "pattern"): "each of its steps looks anew, after what the one before has found",
    (LongformerAttention, "pattern"): "rows of global tokens mix other values than the rest",
}
# What one might ask for in vain.
ABSENT: Mapping[tuple[type[nn.Module], str], str] = {
    (InfiniAttention, "pattern"): "it reads segment by segment, the earlier ones out of a matrix",
    (LSHAttention, "k"): "its keys are its queries, made equally long",
}
# Folders whose blocks are looked into by the names above alone.
_CLOSED = ("attention", "conv", "embedding", "heads", "mlp", "moe", "norm", "positions")
_CLOSED += ("recurrent", "ssm", "audio")
_ENDS = ("embedding", "heads", "norm", "positions")  # whose input has another name already


@dataclass(frozen=True)
class Point:
    """One name, and where its values pass.

    Attributes:
        name: as it is asked for.
        address: of the block whose value it is.
        part: the name within the block.
        block: that block.
        module: at which hooks stand.
        at: the address of that one; where several places share it, it stands at each in turn.
        side: its input, its output, or what it lets pass `noted`.
        apart: what is shown of what passes; None is as it is.
        together: the inverse.
    """

    name: str
    address: str
    part: str
    block: nn.Module
    module: nn.Module
    at: str
    side: Literal["input", "output", "inner"]
    apart: Callable[[Tensor], Tensor] | None = None
    together: Callable[[Tensor], Tensor] | None = None


def points_of(model: nn.Module) -> dict[str, Point]:
    """Every point of a model by name, in the order in which values pass."""
    return {point.name: point for point in _walk(model, "", False)}


def _walk(module: nn.Module, address: str, layer: bool) -> Iterator[Point]:
    """The points at an address and below it; a wrapper and what it wraps share an address."""
    chain, early, late = [module], [], []
    while (inner := _wrapped(chain[-1])) is not None:
        parts = list(chain[-1]._modules.items())
        split = next(i for i, (_, part) in enumerate(parts) if part is inner)
        early, late = [*early, *parts[:split]], [*parts[split + 1 :], *late]
        chain.append(inner)
    assembled = _home(chain[-1]).startswith("blocks.models.")  # a stage of layers is no layer
    stream = (layer and not assembled) or any(isinstance(part, Residual) for part in chain)
    if stream:
        yield _point(address, "before", chain[-1], chain[0], "input")
    yield from _below(early, address)
    yield from _own(address, chain[-1], stream)
    yield from _below(late, address)
    if stream:
        yield _point(address, "after", chain[-1], chain[0], "output")


def _below(parts: Any, address: str, layer: bool = False) -> Iterator[Point]:
    for name, part in parts:
        if part is not None:
            yield from _walk(part, _join(address, name), layer)


def _own(address: str, block: nn.Module, stream: bool) -> Iterator[Point]:
    """The points of a block itself, and of its parts where these are blocks of their own."""
    listed = isinstance(block, nn.ModuleList)
    # A chain within nothing else takes and gives what its layer does.
    bare = _plain(block, address) or (stream and type(block) is Chain)
    if not bare and not _of(block, *_ENDS):
        yield _point(address, "in", block, block, "input")
    if isinstance(block, MoE):
        yield from _below([("shared", block.shared)], address)
    elif not _of(block, *_CLOSED) and not isinstance(block, nn.Linear | PackedLinear):
        yield from _below(block._modules.items(), address, listed)
    for part in parts_of(block):
        yield _point(address, part, block, block, "inner")
    if isinstance(block, HEADED):
        found = _point(address, "heads", block, block.out, "input", "out")
        yield Point(**{**vars(found), "apart": _apart(block.heads), "together": _together})
    if _of(block, "mlp") and (down := block._modules.get("down")) is not None:
        yield _point(address, "hidden", block, down, "input", "down")
    if not bare:
        yield _point(address, "out", block, block, "output")


def parts_of(block: nn.Module) -> tuple[str, ...]:
    """The inner values that a block lets be seen."""
    return next((INNER[kind] for kind in type(block).__mro__ if kind in INNER), ())


def reason(table: Mapping[tuple[type[nn.Module], str], str], point: Point | tuple) -> str | None:
    """What a table says of a part of a block."""
    block, part = (point.block, point.part) if isinstance(point, Point) else point
    kinds = type(block).__mro__
    return next((table[kind, part] for kind in kinds if (kind, part) in table), None)


def _point(
    address: str, part: str, block: nn.Module, module: nn.Module, side: Any, below: str = ""
) -> Point:
    return Point(_join(address, part), address, part, block, module, _join(address, below), side)


def _join(address: str, name: str) -> str:
    return f"{address}.{name}" if address and name else address or name


def _wrapped(module: nn.Module) -> nn.Module | None:
    return module._modules.get(getattr(type(module), "transparent", ""))


def _of(block: nn.Module, *folders: str) -> bool:
    """Whether a block, or what it is a quick kind of, lives in one of these folders."""
    homes = tuple(f"blocks.{folder}." for folder in folders)
    return any(kind.__module__.startswith(homes) for kind in type(block).__mro__)


def _home(block: nn.Module) -> str:
    return type(block).__module__


def _plain(block: nn.Module, address: str) -> bool:
    """Whether it is no block but what holds blocks or, within one, a matrix or called by halves."""
    held = _home(block).startswith("blocks.models.") and not _of(block, *_ENDS)
    within = isinstance(block, Streamed | PackedLinear | Molecules)
    return held or (address != "" and (within or _home(block).startswith("torch.nn.")))


def _apart(heads: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)  # B T H·V -> B H T V


def _together(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def select(points: Mapping[str, Point], *patterns: str) -> dict[str, Point]:
    """The points whose names fit a pattern, in their order.

    Errors:
        SpecError: a pattern that fits none: what the block there has, or the nearest names.
    """
    if not patterns:
        hint = "blocks.hook_points(model) lists the names"
        raise SpecError("names nothing to look at", field="patterns", hint=hint)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise SpecError(f"a name is text, not a {type(pattern).__name__}", field="patterns")
        if not any(matches(name, pattern) for name in points):
            raise _missing(points, pattern)
    return {
        name: point
        for name, point in points.items()
        if any(matches(name, pattern) for pattern in patterns)
    }


def _missing(points: Mapping[str, Point], pattern: str) -> SpecError:
    place, _, part = pattern.rpartition(".")
    whole = [point for point in points.values() if pattern and matches(point.address, pattern)]
    there = whole or [point for point in points.values() if matches(point.address, place)]
    if not there or not pattern:
        hint = near_words(pattern, points)
        return SpecError("nothing has such a name", field=pattern, hint=hint)
    hint = f"it has {', '.join(dict.fromkeys(point.part for point in there))}"
    kinds = {type(point.block) for point in there}
    if len(kinds) > 1:
        text = f"none of the blocks there has {'such a name' if whole else part}"
        return SpecError(text, field=pattern, hint=hint.replace("it has", "there are"))
    first = there[0]
    text = f"{first.address or 'it'} is a {type(first.block).__name__}"
    if whole:
        return SpecError(f"{text}; say what of it", field=pattern, hint=hint)
    why = reason(ABSENT, (first.block, part))
    text = f"{text}, which has no {part}"
    return SpecError(f"{text}: {why}" if why else text, field=pattern, hint=hint)
