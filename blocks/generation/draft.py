"""The texts that are being written, as the rules read them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from blocks.generation.prompt import Prompt

__all__ = ["Draft"]


class Draft:
    """N texts: prompts and what was added to them, the newest token of each in the last column.

    A rule of your own reads it: `rule(scores, draft) -> scores`, both [N V].

    Attributes:
        new: how many tokens were added.
        most: how many may be added in all.
        ends: ids that end a text.
        source: what is answered, ids [N M] and [N M] which of them are real: an encoder–decoder's
            source where that is a text, else what the text begins with.

    Example:
        >>> import blocks
        >>> def even(scores, draft):
        ...     scores[:, 1::2] = float("-inf")
        ...     return scores
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> ids = blocks.generate(model, [2, 4], max_new_tokens=5, stop=(), rules=[even])
        >>> bool((ids % 2 == 0).all())
        True
    """

    def __init__(
        self,
        prompt: Prompt,
        most: int,
        ends: frozenset[int] = frozenset(),
        source: tuple[Tensor, Tensor] | None = None,
    ):
        device, longest = prompt.tokens.device, prompt.tokens.shape[1]
        self.most, self.ends = most, ends
        self.new = 0
        self._length = longest
        self._begin = longest - torch.tensor(prompt.lengths, device=device)  # N
        rows = len(prompt.lengths)
        self._ids = torch.zeros(rows, longest + most, dtype=torch.int64, device=device)
        for row, n in enumerate(prompt.lengths):
            self._ids[row, longest - n : longest] = prompt.tokens[row, :n]
        self.source = (self.ids, self.real) if source is None else source

    @property
    def ids(self) -> Tensor:
        """[N S]: the texts; zeros before the shorter ones."""
        return self._ids[:, : self._length + self.new]

    @property
    def real(self) -> Tensor:
        """[N S]: False where a shorter text has not begun."""
        column = torch.arange(self._length + self.new, device=self._ids.device)
        return column >= self._begin[:, None]

    @property
    def added(self) -> Tensor:
        """[N new]: what was added."""
        return self.ids[:, self._length :]

    @property
    def lengths(self) -> Tensor:
        """[N]: tokens of each text."""
        return self._length - self._begin + self.new

    def alone(self, row: int) -> Draft:
        """One of the texts, to be written at its own pace."""
        other = copy.copy(self)
        other.select(torch.tensor([row], device=self._ids.device))
        return other

    def append(self, column: Tensor) -> None:
        """Adds a token [N] to each text."""
        self._ids[:, self._length + self.new] = column
        self.new += 1

    def select(self, rows: Tensor) -> None:
        """Goes on with some of the texts; rows [M] may name one more than once."""
        self._ids, self._begin = self._ids[rows], self._begin[rows]
        ids, real = self.source
        self.source = ids[rows], real[rows]
