"""NearChunks: a mask by chunks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.attention.mask import Mask
from blocks.conform import check_fields
from blocks.errors import SpecError

__all__ = ["NearChunks"]


@dataclass(frozen=True)
class NearChunks(Mask):
    """A token sees its own chunk of `size` tokens, `before` chunks left of it and `after` right.

    Kitaev et al., "Reformer", 2020, arXiv:2001.04451. `Causal() & NearChunks(64)` is the local
    attention of its decoders, whose memory is a ring of two chunks.

    Example:
        >>> import blocks, torch
        >>> blocks.NearChunks(2)(torch.tensor(5), torch.arange(8))
        tensor([False, False,  True,  True,  True,  True, False, False])
    """

    size: int
    before: int = 1
    after: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name, least in {"size": 1, "before": 0, "after": 0}.items():
            if getattr(self, name) < least:
                reason = f"must be at least {least}, not {getattr(self, name)}"
                raise SpecError(reason, field=name)

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        away = k // self.size - q // self.size
        return (away >= -self.before) & (away <= self.after)

    @property
    def reach(self) -> int:
        return self.size * (self.before + 1)
