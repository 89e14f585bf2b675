"""The rule by which a model of speech says when something was said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.draft import Draft

__all__ = ["Timestamps"]


@dataclass(frozen=True)
class Timestamps:
    """Texts begin with a time, times come in pairs and never decrease, and a time is said where
    all times together are likelier than any other token.

    Radford et al., 2022, arXiv:2212.04356, section 2.3. Tokens from `first` on are times, the one
    before it says that there are none, and those from `end` on are no text.

    Args:
        first: the token of time 0.
        end: the token that ends a text.
        latest: the latest time that a text may begin with, in tokens from `first`; None is any.

    Example:
        >>> from blocks import Timestamps
        >>> Timestamps(first=50364, end=50257, latest=50)
        Timestamps(first=50364, end=50257, latest=50)
    """

    first: int
    end: int
    latest: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.end < self.first:
            reason = f"text ends with token {self.end}, times begin with token {self.first}"
            raise GenerationError(f"{reason}: the end comes before them", field="Timestamps.first")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        scores, first = scores.clone(), self.first
        scores[:, first - 1] = -math.inf
        for row, said in enumerate(draft.added.tolist()):
            self._pair(scores[row], said)
        if draft.new == 0:
            scores[:, :first] = -math.inf
            if self.latest is not None:
                scores[:, first + self.latest + 1 :] = -math.inf
        logs = scores.log_softmax(-1)
        timed = logs[:, first:].logsumexp(-1) > logs[:, :first].amax(-1)  # N
        scores[:, :first] = scores[:, :first].masked_fill(timed[:, None], -math.inf)
        return scores

    def _pair(self, scores: Tensor, said: list[int]) -> None:
        """What may follow, in one row: the second of a pair, and no earlier time."""
        after_time = bool(said) and said[-1] >= self.first
        after_pair = after_time and (len(said) < 2 or said[-2] >= self.first)
        if after_pair:
            scores[self.first :] = -math.inf
        elif after_time:
            scores[: self.end] = -math.inf
        times = [token for token in said if token >= self.first]
        if times:
            earliest = times[-1] if after_time and not after_pair else times[-1] + 1
            scores[self.first : earliest] = -math.inf
