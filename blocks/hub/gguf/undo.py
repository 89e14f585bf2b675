"""What the conversion to GGUF did to a tensor, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from blocks.hub.keys import Shape

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []


@dataclass(frozen=True)
class Undo:
    """How one tensor of the family's own files is made of GGUF's; the base class keeps it.

    Attributes:
        exact: it computes, and that must be done before values are rounded.
    """

    exact = False

    def shape(self, held: Sequence[Shape]) -> Shape:
        """Its shape, from those of the tensors in the file."""
        return held[0]

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        """Itself, from the tensors in the file."""
        return held[0]


KEPT = Undo()


class Line(NamedTuple):
    """One line of a dialect's table.

    Names are templates, as in Keys. Where `{e}` stands in theirs alone, the file's tensors hold all
    experts one after another.

    Attributes:
        held: names in the GGUF file.
        theirs: the name in the family's own files.
        undo: how the one is made of the others.
    """

    held: tuple[str, ...]
    theirs: str
    undo: Undo = KEPT


@dataclass(frozen=True)
class Turned(Undo):
    """Rows of queries or keys, of which those that turn together were put side by side."""

    heads: int

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        rows = held[0].unflatten(0, (self.heads, -1, 2))
        return rows.transpose(1, 2).reshape(held[0].shape)


@dataclass(frozen=True)
class Less(Undo):
    """One was added, so that norms multiply by what is stored."""

    exact = True

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].float() - 1


@dataclass(frozen=True)
class LogOfMinus(Undo):
    """−exp was taken, of the rates at which Mamba's states fade."""

    exact = True

    def shape(self, held: Sequence[Shape]) -> Shape:
        return held[0]

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].float().neg().log()


@dataclass(frozen=True)
class Flipped(Undo):
    """A matrix was transposed."""

    def shape(self, held: Sequence[Shape]) -> Shape:
        return held[0][::-1]

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].t()


@dataclass(frozen=True)
class Unsqueezed(Undo):
    """An axis of length one was left out."""

    axis: int

    def shape(self, held: Sequence[Shape]) -> Shape:
        return (*held[0][: self.axis], 1, *held[0][self.axis :])

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].unsqueeze(self.axis)


@dataclass(frozen=True)
class Rowed(Undo):
    """A matrix of one row, which may have been made a vector."""

    def shape(self, held: Sequence[Shape]) -> Shape:
        return (1, held[0][-1])

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].reshape(1, -1)


@dataclass(frozen=True)
class Grouped(Undo):
    """Fused rows of q, k and v, which stood group by group and were put one after another.

    Attributes:
        heads: of queries.
        kv_heads: groups: each had its queries, then its key and its value.
    """

    heads: int
    kv_heads: int

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        rows = held[0].unflatten(0, (self.heads + 2 * self.kv_heads, -1))
        parts = rows.split([self.heads, self.kv_heads, self.kv_heads])
        each = [part.unflatten(0, (self.kv_heads, -1)) for part in parts]
        return _torch().cat(each, 1).reshape(held[0].shape)


@dataclass(frozen=True)
class Turnover(Undo):
    """Each expert's matrix was transposed."""

    def shape(self, held: Sequence[Shape]) -> Shape:
        return (held[0][0], *held[0][:0:-1])

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return held[0].transpose(1, 2)


@dataclass(frozen=True)
class Joined(Undo):
    """All experts' gates and ways up, which lay one after the other."""

    def shape(self, held: Sequence[Shape]) -> Shape:
        (experts, rows, columns), (_, more, _) = held
        return (experts, rows + more, columns)

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        return _torch().cat(list(held), 1)


@dataclass(frozen=True)
class Interleaved(Undo):
    """All experts' gates and ways up, which took turns row by row and were transposed."""

    def shape(self, held: Sequence[Shape]) -> Shape:
        experts, rows, *columns = held[0]
        return (experts, *columns, 2 * rows)

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        rows = _torch().stack(list(held), 2).flatten(1, 2)
        return rows.transpose(1, 2) if rows.dim() > 2 else rows


@dataclass(frozen=True)
class Merged(Undo):
    """Rows that make keys and values of latents, head by head, which became two tensors.

    Keys' are [heads, latent, width], values' [heads, width, latent].
    """

    def shape(self, held: Sequence[Shape]) -> Shape:
        (heads, latent, width), (_, value, _) = held
        return (heads * (width + value), latent)

    def apply(self, held: Sequence[Tensor]) -> Tensor:
        keys, values = held
        return _torch().cat([keys.transpose(1, 2), values], 1).flatten(0, 1)


def _torch() -> Any:
    import torch  # names and shapes are told without it

    return torch
