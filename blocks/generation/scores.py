"""Rules: what a text may hold, as changes of the scores of its next token.

Each is a callable `(scores [N V], draft) -> scores [N V]` and does one thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.draft import Draft

Rule = Callable[[Tensor, Draft], Tensor]


def banned(scores: Tensor, row: Any, token: Any) -> Tensor:
    """Scores by which some tokens can't come in some rows."""
    scores = scores.clone()
    scores[row, token] = -math.inf
    return scores


def without(scores: Tensor, tokens: Iterable[int]) -> Tensor:
    """Scores by which some tokens can't come."""
    known = [token for token in tokens if token < scores.shape[1]]
    return banned(scores, slice(None), known) if known else scores


def only(scores: Tensor, tokens: Sequence[int], field: str) -> Tensor:
    """Scores by which none but these tokens can come."""
    vocab = scores.shape[1]
    if not 0 <= min(tokens) <= max(tokens) < vocab:
        raise GenerationError(f"{tokens} is not in the vocabulary of {vocab}", field=field)
    forced = torch.full_like(scores, -math.inf)
    forced[:, list(tokens)] = 0
    return forced


def newest(draft: Draft, n: int) -> Tensor:
    """The last n tokens [N n] of each text."""
    return draft.ids[:, draft.ids.shape[1] - n :]


def check_count(value: Any, field: str) -> None:
    """Refuses what is not a number of tokens."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise GenerationError(f"{value!r} is not a number of tokens", field=field)
