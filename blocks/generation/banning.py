"""Rules about tokens that are not written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.generation.draft import Draft
from blocks.generation.scores import banned, newest, without

__all__ = ["BadWords", "Suppressed", "SuppressedFirst"]


@dataclass(frozen=True)
class BadWords:
    """Runs of tokens that are never written; a single token that ends the text may be.

    Args:
        words: each of one token or more.

    Example:
        >>> import blocks, torch
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> plain = blocks.generate(model, [5, 6], max_new_tokens=2, stop=())[0, 2:].tolist()
        >>> rules = [blocks.BadWords((tuple(plain),))]
        >>> ids = blocks.generate(model, [5, 6], max_new_tokens=2, stop=(), rules=rules)
        >>> (ids[0, 2:] == torch.tensor(plain)).tolist()
        [True, False]
    """

    words: tuple[tuple[int, ...], ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        single = {word[0] for word in self.words if len(word) == 1}
        scores = without(scores, single - draft.ends)
        for *before, last in (word for word in self.words if len(word) > 1):
            if last < scores.shape[1] and len(before) <= draft.ids.shape[1]:
                run = torch.tensor(before, device=scores.device)
                here = (newest(draft, len(before)) == run).all(1) & (draft.lengths >= len(before))
                scores = banned(scores, here.nonzero()[:, 0], last)
        return scores


@dataclass(frozen=True)
class Suppressed:
    """Tokens that are never written.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> plain = blocks.generate(model, [5, 6], max_new_tokens=1, stop=())
        >>> rules = [blocks.Suppressed((int(plain[0, 2]),))]
        >>> bool(blocks.generate(model, [5, 6], max_new_tokens=1, rules=rules)[0, 2] == plain[0, 2])
        False
    """

    tokens: tuple[int, ...] = ()

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        return without(scores, self.tokens)


@dataclass(frozen=True)
class SuppressedFirst:
    """Tokens that an answer doesn't begin with.

    Args:
        tokens: their ids.
        forced: what an answer begins with is forced, so that this is about the token after it.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> plain = blocks.generate(model, [5, 6], max_new_tokens=1, stop=())
        >>> rules = [blocks.SuppressedFirst((int(plain[0, 2]),))]
        >>> bool(blocks.generate(model, [5, 6], max_new_tokens=1, rules=rules)[0, 2] == plain[0, 2])
        False
    """

    tokens: tuple[int, ...] = ()
    forced: bool = False

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        alone = draft.lengths - draft.new == 1
        here = (alone & self.forced) == draft.new  # N
        return torch.where(here[:, None], without(scores, self.tokens), scores)
