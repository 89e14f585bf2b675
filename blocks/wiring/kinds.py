"""Blocks that have a quick kind: `optimize` puts it in their place, with all that is in them."""

from __future__ import annotations

from typing import Any

from torch import nn

from blocks.heads.language import LMHead
from blocks.moe.moe import MoE
from blocks.wiring.experts import StreamedMoE
from blocks.wiring.streamed import Streamed, StreamedHead

__all__: list[str] = []

_KINDS: dict[type[Any], type[Any]] = {nn.Linear: Streamed, LMHead: StreamedHead, MoE: StreamedMoE}
_PLAIN = {quick: plain for plain, quick in _KINDS.items()}


def quicken(module: nn.Module) -> None:
    """Gives every part of these kinds the class that does the same with the kernels."""
    for part in module.modules():
        part.__class__ = _KINDS.get(type(part), type(part))
        if isinstance(part, StreamedMoE):
            part.enlist()
        elif hasattr(type(part), "quick"):
            part.quick = True  # pyright: ignore[reportArgumentType]  # no parameter


def unquicken(module: nn.Module) -> None:
    """Gives every part the class it had before."""
    for part in module.modules():
        part.__class__ = _PLAIN.get(type(part), type(part))
        vars(part).pop("quick", None)


def unstreamed(module: nn.Module) -> type[Any] | None:
    """The class that a module had before, where it has another now."""
    return _PLAIN.get(type(module))
