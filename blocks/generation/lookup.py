"""PromptLookup: what followed the same words before may follow them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.assistant import Assistant
from blocks.generation.line import Line
from blocks.generation.request import Request
from blocks.generation.sampling import Sampler
from blocks.generation.scores import check_count

__all__ = ["PromptLookup"]

_SHORTEST = 2  # what follows a single token tells little


class PromptLookup(Assistant):
    """Drafts what followed the newest tokens where they last stood in the text.

    Quick where much is said again: answers about a document, changes of code. Saxena, "Prompt
    lookup decoding", 2023; Yang et al., "Inference with reference", 2023, arXiv:2304.04487.

    Args:
        ngram: how many of the newest tokens are looked for; if they are new, fewer, down to 2.
        tokens: how many tokens are drafted at most at a time.

    Attributes:
        drafted, accepted: how many tokens it has drafted, and how many the model agreed with.
        calls: how often the model was called with a draft.

    Errors:
        GenerationError: a number below 1.

    Example:
        >>> import blocks
        >>> model, lookup = blocks.from_pretrained(blocks.packaged()), blocks.PromptLookup()
        >>> ids = blocks.generate(model, [5, 6, 7] * 5, max_new_tokens=30, assistant=lookup)
        >>> lookup.drafted >= lookup.accepted
        True
    """

    def __init__(self, ngram: int = 3, tokens: int = 10):
        super().__init__(tokens)
        check_count(ngram, "ngram")
        if ngram == 0:
            raise GenerationError("one token at least is looked for", field="ngram")
        self.ngram = ngram

    @contextmanager
    def begin(self, request: Request, sampler: Sampler) -> Iterator[_Looking]:
        yield _Looking(self, getattr(request.model, "source", None) == request.model.vocab)

    def follow(self, text: Tensor, most: int) -> list[int]:
        """What may follow a text [S], `most` tokens at most."""
        if most < 1:
            return []
        for size in range(min(self.ngram, len(text) - 1), min(self.ngram, _SHORTEST) - 1, -1):
            there = (text.unfold(0, size, 1)[:-1] == text[-size:]).all(1).nonzero()
            if len(there):
                behind = text[int(there[-1]) + size :].tolist()
                return [behind[n % len(behind)] for n in range(most)]  # it may repeat itself
        return []


@dataclass(frozen=True)
class _Looking:
    """Looking up at work; `source`: what is answered is of the same vocabulary."""

    lookup: PromptLookup
    source: bool

    def propose(self, lines: Sequence[Line], limits: Sequence[int]) -> list[list[int]]:
        pairs = zip(lines, limits, strict=True)
        return [self.lookup.follow(self._text(line), most) for line, most in pairs]

    def _text(self, line: Line) -> Tensor:
        draft = line.draft
        text = draft.ids[0][draft.real[0]]
        if not self.source:
            return text
        ids, real = draft.source
        return torch.cat([ids[0][real[0]], text])

    def select(self, rows: Tensor) -> None:
        """It remembers nothing of the texts."""
