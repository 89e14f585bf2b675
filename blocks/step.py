"""Step: what one call of a model knows beside the activations."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from blocks.state import Clock

__all__ = ["Step"]


@dataclass
class Step:
    """The facts of one forward pass that any block may ask for.

    Attributes:
        positions: [B T] or [1 T], the place of each token in its own sequence.
        real: [B T], True where a token is not padding; None where all are real.
        segments: [B T], which document a token belongs to, where several are packed into a row.
        memory: [B M D], the other sequence that cross-attention reads; None where every layer
            has read it into its state.
        memory_real: [B M], True where a place of the memory is not padding; None where all are. Or
            [B T M], True where a token may look at a place of it.
        seen: [B T T], True where a token may look at another, if the layers' masks let it too.
        types: [B T], which text of a pair a token belongs to, 0 or 1, as BERT's types tell.
        global_mask: [B T], True where a token sees all and is seen by all, whatever the window of a
            layer (Longformer); None where none is.
        condition: what else steers every layer, a time embedding for instance.
        saved: what a `Save` has laid down for a `Load` of the same name in the same call.
        clock: the clock of the State in use; None without a state.

    Example:
        >>> import torch
        >>> from blocks import Step
        >>> Step.plain(torch.zeros(2, 3, 8)).positions
        tensor([[0, 1, 2]])
    """

    positions: Tensor
    real: Tensor | None = None
    segments: Tensor | None = None
    memory: Tensor | None = None
    memory_real: Tensor | None = None
    seen: Tensor | None = None
    types: Tensor | None = None
    global_mask: Tensor | None = None
    condition: Tensor | None = None
    saved: dict[str, Tensor] = field(default_factory=dict, repr=False)
    clock: Clock | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def plain(cls, x: Tensor) -> Step:
        """The step of one whole unpadded sequence [B T D] that starts at position 0."""
        return cls(torch.arange(x.shape[1], device=x.device)[None])

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What all layers share, made by the first that asks.

        `key` is a value that holds every argument of the maker and the names of the fields of
        this step that it reads, so that two makers can never meet.
        """
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def length(self) -> Tensor:
        """[B 1] or [1 1]: how long each sequence is so far, counting this step's real tokens."""
        return self.once("length", self._length)

    def _length(self) -> Tensor:
        if self.clock is not None:
            new = self.positions.shape[1] if self.real is None else self.real.sum(1)
            return (self.clock.next + new)[:, None]
        positions = self.positions
        if positions.shape[1] == 0:
            return positions.new_zeros(len(positions), 1)
        if self.real is not None:
            positions = torch.where(self.real, positions, -1)
        return positions.amax(1, keepdim=True) + 1
