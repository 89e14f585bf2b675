"""Rules about where a text may end, and which tokens come by force."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.generation.draft import Draft
from blocks.generation.scores import check_count, only, without

__all__ = ["ForcedFirst", "ForcedLast", "MinLength", "MinNewTokens", "Renormalize"]


@dataclass(frozen=True)
class MinLength:
    """A text does not end before it has so many tokens, its prompt or start included.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> stop = range(0, model.vocab, 2)
        >>> ids = blocks.generate(model, [5, 6], stop=stop, rules=[blocks.MinLength(9)])
        >>> ids.shape[1] >= 9, bool((ids[0, 2:8] % 2 == 1).all())
        (True, True)
    """

    tokens: int = 0

    def __post_init__(self) -> None:
        check_count(self.tokens, "min_length")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        short = (draft.lengths < self.tokens)[:, None]
        return torch.where(short, without(scores, draft.ends), scores)


@dataclass(frozen=True)
class MinNewTokens:
    """A text does not end before so many tokens were added.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> stop = range(0, model.vocab, 2)
        >>> ids = blocks.generate(model, [5, 6], stop=stop, rules=[blocks.MinNewTokens(7)])
        >>> ids.shape[1] >= 9, bool((ids[0, 2:8] % 2 == 1).all())
        (True, True)
    """

    tokens: int = 0

    def __post_init__(self) -> None:
        check_count(self.tokens, "min_new_tokens")

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return without(scores, draft.ends) if draft.new < self.tokens else scores


@dataclass(frozen=True)
class ForcedFirst:
    """The token that follows the one an answer begins with, such as that of a language.

    Args:
        token: its id; None is no such rule. A text that is longer than one token has begun already.

    Errors:
        GenerationError: a token that is not in the vocabulary, once it is asked for.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> blocks.generate(model, [5], max_new_tokens=1, rules=[blocks.ForcedFirst(7)])
        tensor([[5, 7]])
    """

    token: int | None = None

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        if self.token is None:
            return scores
        begins = (draft.lengths == 1)[:, None]
        return torch.where(begins, only(scores, (self.token,), "forced_first"), scores)


@dataclass(frozen=True)
class ForcedLast:
    """The tokens one of which comes where no more than one may be added.

    Errors:
        GenerationError: a token that is not in the vocabulary, once it is asked for.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> rules = [blocks.ForcedLast((7,))]
        >>> blocks.generate(model, [5], max_new_tokens=4, stop=(), rules=rules)[0, -1]
        tensor(7)
    """

    tokens: tuple[int, ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        last = self.tokens and draft.new == draft.most - 1
        return only(scores, self.tokens, "forced_last") if last else scores


@dataclass(frozen=True)
class Renormalize:
    """Makes the scores log probabilities again, after what other rules have done to them.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> rules = [blocks.Suppressed(tuple(range(1, model.vocab))), blocks.Renormalize(True)]
        >>> float(blocks.beam_search(model, [5], max_new_tokens=3, stop=(), rules=rules)[0])
        0.0
    """

    on: bool = False

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        if not self.on:
            return scores
        total = scores.logsumexp(-1, keepdim=True)
        return scores - torch.where(total.isfinite(), total, 0)
