"""Rules against saying the same again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.draft import Draft
from blocks.generation.scores import banned, check_count, newest

__all__ = ["NoRepeatNGram", "NoSourceNGram", "RepetitionPenalty"]


@dataclass(frozen=True)
class RepetitionPenalty:
    """Scores above 0 of tokens that were there are divided by the penalty, others multiplied.

    Keskar et al., "CTRL", 2019, arXiv:1909.05858.

    Args:
        penalty: above 1 avoids such tokens, below it seeks them; 1 is no such rule.

    Errors:
        GenerationError: a penalty that is not above 0.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> rules = [blocks.RepetitionPenalty(1e9)]
        >>> ids = blocks.generate(model, [5, 6], max_new_tokens=8, stop=(), rules=rules)
        >>> len(set(ids[0].tolist()))
        10
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
        there = scores.gather(1, ids)  # N S
        less = torch.where(there > 0, there / self.penalty, there * self.penalty)
        return scores.scatter(1, ids, less)


@dataclass(frozen=True)
class NoRepeatNGram:
    """No run of `size` tokens comes twice in a text, its prompt included.

    Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2017, arXiv:1705.04304.

    Args:
        size: how many tokens a run has; 0 is no such rule.

    Errors:
        GenerationError: a size that is no number of tokens.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> rules = [blocks.NoRepeatNGram(2)]
        >>> [ids] = blocks.generate(model, [5, 6], max_new_tokens=30, stop=(), rules=rules).tolist()
        >>> len(set(zip(ids, ids[1:])))
        31
    """

    size: int = 0

    def __post_init__(self) -> None:
        check_count(self.size, "no_repeat_ngram")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return _without_runs(scores, draft, draft.ids, draft.real, self.size)


@dataclass(frozen=True)
class NoSourceNGram:
    """No run of `size` tokens of what is answered is written: an encoder's text, else the prompt.

    Args:
        size: how many tokens a run has; 0 is no such rule.

    Errors:
        GenerationError: a size that is no number of tokens.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> rules = [blocks.NoSourceNGram(1)]
        >>> ids = blocks.generate(model, [5, 6], max_new_tokens=8, stop=(), rules=rules)
        >>> {5, 6} & set(ids[0, 2:].tolist())
        set()
    """

    size: int = 0

    def __post_init__(self) -> None:
        check_count(self.size, "no_source_ngram")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return _without_runs(scores, draft, *draft.source, self.size)


def _without_runs(scores: Tensor, draft: Draft, ids: Tensor, real: Tensor, size: int) -> Tensor:
    """Scores without the tokens that would complete a run of `size` tokens in ids [N S]."""
    if size == 0 or ids.shape[1] < size or draft.ids.shape[1] < size - 1:
        return scores
    runs = ids.unfold(1, size, 1)  # N R size
    begun = (runs[..., :-1] == newest(draft, size - 1)[:, None]).all(-1)
    begun &= real.unfold(1, size, 1).all(-1) & (draft.lengths >= size - 1)[:, None]
    begun &= runs[..., -1] < scores.shape[1]  # a source may have a vocabulary of its own
    row, run = begun.nonzero(as_tuple=True)
    return banned(scores, row, runs[row, run, -1])
