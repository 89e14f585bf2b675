"""Gist mask: a text is read through a few tokens that stand for the prompt before them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blocks.attention.mask import Mask
from blocks.errors import SpecError

__all__ = ["Gist"]


@dataclass(frozen=True)
class Gist(Mask):
    r"""(q < stop and k < stop) or (q ≥ stop and k ≥ start)

    The gist tokens stand at positions start … stop − 1. What comes after them can't see what is
    before them, and the prompt and the gist see nothing after it: once they have been read, only
    the gist's keys and values are needed. A decoder takes `Causal() & Gist(start, stop)`, an
    encoder `Gist(start, stop)`. Mu, Li and Goodman, "Learning to Compress Prompts with Gist
    Tokens", 2023, arXiv:2304.08467.

    Args:
        start: position of the first gist token; the prompt before it has at least one token.
        stop: position after the last gist token.

    Errors:
        SpecError: no prompt before the gist, or no gist token.

    Example:
        >>> import blocks, torch
        >>> place = torch.arange(5)
        >>> mask = blocks.Causal() & blocks.Gist(2, 3)
        >>> mask(place[:, None], place[None]).int()
        tensor([[1, 0, 0, 0, 0],
                [1, 1, 0, 0, 0],
                [1, 1, 1, 0, 0],
                [0, 0, 1, 1, 0],
                [0, 0, 1, 1, 1]], dtype=torch.int32)
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stop <= self.start:
            raise SpecError(
                f"must be beyond start ({self.start}), not {self.stop}",
                field="Gist.stop",
                hint="one gist token at position p is Gist(p, p + 1)",
            )

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q < self.stop) & (k < self.stop)) | ((q >= self.stop) & (k >= self.start))
