"""Rules: what a text may hold, as changes of the scores of its next token.

Each is a callable `(scores [N V], draft) -> scores [N V]` and does one thing. Three functions ask
them: `generate`, `stream` and `beam_search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.draft import Draft

__all__ = [
    "BadWords",
    "ForcedFirst",
    "ForcedLast",
    "MinLength",
    "MinNewTokens",
    "NoRepeatNGram",
    "NoSourceNGram",
    "Renormalize",
    "RepetitionPenalty",
    "Suppressed",
    "SuppressedFirst",
]

Rule = Callable[[Tensor, Draft], Tensor]


@dataclass(frozen=True)
class RepetitionPenalty:
    """Scores above 0 of tokens that were there are divided by the penalty, others multiplied.

    Keskar et al., "CTRL", 2019, arXiv:1909.05858.
    """

    penalty: float = 1.0

    def __post_init__(self) -> None:
        value = self.penalty
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise GenerationError(f"{value!r} is not a number", field="repetition_penalty")
        if not 0 < value < math.inf:
            raise GenerationError(f"{value} is not in (0, inf)", field="repetition_penalty")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        ids = torch.where(draft.real, draft.ids, draft.ids[:, -1:])  # the newest is always real
        there = scores.gather(1, ids)
        less = torch.where(there > 0, there / self.penalty, there * self.penalty)
        return scores.scatter(1, ids, less)


@dataclass(frozen=True)
class NoRepeatNGram:
    """No run of `size` tokens comes twice; 0 for no such rule."""

    size: int = 0

    def __post_init__(self) -> None:
        _check_count(self.size, "no_repeat_ngram")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return _without_runs(scores, draft, draft.ids, draft.real, self.size)


@dataclass(frozen=True)
class NoSourceNGram:
    """No run of `size` tokens of the source is written; 0 for no such rule."""

    size: int = 0

    def __post_init__(self) -> None:
        _check_count(self.size, "no_source_ngram")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        if draft.source is None:
            return scores
        return _without_runs(scores, draft, *draft.source, self.size)


def _without_runs(scores: Tensor, draft: Draft, ids: Tensor, real: Tensor, size: int) -> Tensor:
    """Scores without the tokens that would complete a run of `size` tokens in ids [N S]."""
    if ids.shape[1] < size or draft.ids.shape[1] < size - 1:
        return scores
    runs = ids.unfold(1, size, 1)  # N R size
    begun = (runs[..., :-1] == _newest(draft, size - 1)[:, None]).all(-1)
    begun &= real.unfold(1, size, 1).all(-1) & (draft.lengths >= size - 1)[:, None]
    row, run = begun.nonzero(as_tuple=True)
    return _banned(scores, row, runs[row, run, -1])


def _newest(draft: Draft, n: int) -> Tensor:
    return draft.ids[:, draft.ids.shape[1] - n :]


def _banned(scores: Tensor, row: Any, token: Any) -> Tensor:
    scores = scores.clone()
    scores[row, token] = -math.inf
    return scores


@dataclass(frozen=True)
class BadWords:
    """Runs of tokens, of one token each or more, that are never written."""

    words: tuple[tuple[int, ...], ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        for word in self.words:
            *before, last = word
            if last >= scores.shape[1] or word in {(end,) for end in draft.ends}:
                continue  # a text must be able to end
            if len(before) > draft.ids.shape[1]:
                continue
            here = draft.lengths >= len(before)
            if before:
                run = torch.tensor(before, device=scores.device)
                here = here & (_newest(draft, len(before)) == run).all(1)
            scores = _banned(scores, here.nonzero()[:, 0], last)
        return scores


@dataclass(frozen=True)
class MinLength:
    """A text does not end before it has so many tokens, its prompt included."""

    tokens: int = 0

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        short = (draft.lengths < self.tokens)[:, None]
        return torch.where(short, _without(scores, draft.ends), scores)


@dataclass(frozen=True)
class MinNewTokens:
    """A text does not end before so many tokens were added."""

    tokens: int = 0

    def __post_init__(self) -> None:
        _check_count(self.tokens, "min_new_tokens")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return _without(scores, draft.ends) if draft.new < self.tokens else scores


@dataclass(frozen=True)
class ForcedFirst:
    """The token that follows the one an answer begins with, such as the language's."""

    token: int | None = None

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        if self.token is None:
            return scores
        begins = (draft.lengths == 1)[:, None]
        return torch.where(begins, _only(scores, (self.token,), "forced_first"), scores)


@dataclass(frozen=True)
class ForcedLast:
    """The tokens one of which comes where no more than one may be added."""

    tokens: tuple[int, ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        last = self.tokens and draft.new == draft.most - 1
        return _only(scores, self.tokens, "forced_last") if last else scores


@dataclass(frozen=True)
class Suppressed:
    """Tokens that are never written."""

    tokens: tuple[int, ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return _without(scores, self.tokens)


@dataclass(frozen=True)
class SuppressedFirst:
    """Tokens that an answer doesn't begin with; where its first one is forced, the second."""

    tokens: tuple[int, ...] = ()
    forced: bool = False

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        alone = draft.lengths - draft.new == 1
        here = (alone & self.forced) == draft.new  # N
        return torch.where(here[:, None], _without(scores, self.tokens), scores)


@dataclass(frozen=True)
class Renormalize:
    """Makes the scores log probabilities again."""

    on: bool = False

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        total = scores.logsumexp(-1, keepdim=True)
        return scores - torch.where(total.isfinite(), total, 0)


def _without(scores: Tensor, tokens: Iterable[int]) -> Tensor:
    known = [token for token in tokens if token < scores.shape[1]]
    return _banned(scores, slice(None), known) if known else scores


def _only(scores: Tensor, tokens: Sequence[int], field: str) -> Tensor:
    vocab = scores.shape[1]
    if not 0 <= min(tokens) <= max(tokens) < vocab:
        raise GenerationError(f"{tokens} is not in the vocabulary of {vocab}", field=field)
    forced = torch.full_like(scores, -math.inf)
    forced[:, list(tokens)] = 0
    return forced


def _check_count(value: Any, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise GenerationError(f"{value!r} is not a number of tokens", field=field)
