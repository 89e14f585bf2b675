"""Matrices inside a block, and blocks that give some of them another source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.gate import OutputGate
from blocks.edit import matches
from blocks.embedding.token import TokenEmbedding
from blocks.errors import SpecError
from blocks.heads.language import LMHead
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step
from blocks.wiring.linear import Linear

__all__: list[str] = []

# Others do more than to multiply by one.
MATRICES = (nn.Linear, Linear, LMHead, OutputGate, TokenEmbedding)


@dataclass(frozen=True)
class Place:
    """Where a matrix is: its address in the block, its parent, its name there, and itself."""

    address: str
    parent: nn.Module
    name: str
    part: Any

    @property
    def by_hand(self) -> bool:
        """Whether the parent reads the weight instead of calling the matrix."""
        return self.name in getattr(self.parent, "by_hand", ())

    @property
    def shape(self) -> tuple[int, int]:
        """[out in]."""
        return tuple(self.part.weight.shape)

    @property
    def device(self) -> torch.device:
        return self.part.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.part.weight.dtype

    def put(self, part: nn.Module) -> None:
        """Puts another in its place."""
        self.parent._modules[self.name] = part


def places(block: nn.Module, address: str = "") -> Iterator[Place]:
    """Every part of a block with its address, parents first; what is wrapped has its wrapper's."""
    through = getattr(type(block), "transparent", None)
    for name, part in block._modules.items():
        if part is not None:
            below = address if name == through else f"{address}.{name}".lstrip(".")
            yield Place(below, block, name, part)
            yield from places(part, below)


class OfMatrices(nn.Module):
    """A block some of whose matrices come from elsewhere; like a Residual it has no address.

    Args:
        dim: width D.
        vocab: tokens V, where the parent gives them to inner.
        inner: slot of size (dim), or (dim, vocab).
    """

    transparent = "inner"

    def __init__(self, dim: int, vocab: int | None, inner: Slot):
        super().__init__()
        self.inner = inner(dim) if vocab is None else inner(dim, vocab)
        self._wants = wants(self.inner)

    def chosen(self, on: Iterable[str]) -> list[Place]:
        """The matrices of inner that these names are of.

        Errors:
            SpecError: one is of none.
        """
        first: dict[str, Place] = {}
        for place in places(self):
            if type(place.part) in MATRICES or getattr(type(place.part), "source", False):
                first.setdefault(place.address, place)
        known = {at: place for at, place in first.items() if type(place.part) in MATRICES}
        found: dict[str, Place] = {}
        for pattern in on:
            hits = {at: place for at, place in known.items() if matches(at, pattern)}
            if not hits:
                names = ", ".join(repr(at) if at == "" else at for at in known) or "none"
                taken = pattern in first
                raise SpecError(
                    f"{type(self.inner).__name__} has no matrix {pattern!r}"
                    + (" that is its own: another source is there" if taken else ""),
                    field=f"{type(self).__name__}.on",
                    hint=f"it has {names}",
                )
            found |= hits
        return list(found.values())

    def __getattr__(self, name: str) -> Any:
        """What the block itself has not, inner has: a head's loss, a width."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "inner" or name.startswith("_") or "inner" not in self._modules:
                raise
            return getattr(self.inner, name)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return call(self.inner, x, step, state, self._wants)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
