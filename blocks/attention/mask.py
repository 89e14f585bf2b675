"""Masks: which key a query may see, as values that print, compare and save."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.conform import check_fields
from blocks.errors import SpecError

__all__ = ["Both", "Causal", "Chunk", "Full", "Mask", "Prefix", "Window"]


@dataclass(frozen=True)
class Mask:
    """A predicate over (query position, key position), int tensors that broadcast.

    `reach` is how many keys back a query can look, itself included; None: no bound. `a & b` is
    what both let through.
    """

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in vars(self).items():
            if isinstance(value, int) and value < 1:
                raise SpecError(f"must be at least 1, not {value}", field=name)

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        raise TypeError("Mask is the family; use Causal, Full, Window ...")

    @property
    def reach(self) -> int | None:
        return None

    def __and__(self, other: Mask) -> Mask:
        return Both(self, other)


@dataclass(frozen=True)
class Causal(Mask):
    """A token sees itself and what came before: k ≤ q.

    Example:
        >>> import blocks, torch
        >>> blocks.Causal()(torch.tensor(1), torch.arange(3))
        tensor([ True,  True, False])
    """

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return k <= q


@dataclass(frozen=True)
class Full(Mask):
    """Every token sees every other."""

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return (q == q) & (k == k)


@dataclass(frozen=True)
class Window(Mask):
    """A token sees itself and the size − 1 tokens before: q − size < k ≤ q.

    Beltagy et al., 2020, arXiv:2004.05150; Jiang et al., "Mistral 7B", 2023, arXiv:2310.06825.

    Example:
        >>> import blocks, torch
        >>> bool(blocks.Window(2)(torch.tensor(5), torch.tensor(3)))
        False
    """

    size: int

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) & (k > q - self.size)

    @property
    def reach(self) -> int:
        return self.size


@dataclass(frozen=True)
class Chunk(Mask):
    """A token sees what came before it in its own chunk of `size` tokens."""

    size: int

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) & (k // self.size == q // self.size)

    @property
    def reach(self) -> int:
        return self.size


@dataclass(frozen=True)
class Prefix(Mask):
    """The first `size` tokens see one another, all later ones see what came before."""

    size: int

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) | ((q < self.size) & (k < self.size))


@dataclass(frozen=True)
class Both(Mask):
    """What two masks both let through; written `a & b`."""

    first: Mask
    second: Mask

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return self.first(q, k) & self.second(q, k)

    @property
    def reach(self) -> int | None:
        return min(filter(None, (self.first.reach, self.second.reach)), default=None)
