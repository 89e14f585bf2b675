"""What every assistant is: it drafts what a model may say next, and counts how often it did."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.line import Line
from blocks.generation.request import Request
from blocks.generation.sampling import Sampler
from blocks.generation.scores import check_count

__all__: list[str] = []


class Drafting(Protocol):
    """An assistant at work on one request."""

    def propose(self, lines: Sequence[Line], limits: Sequence[int]) -> list[list[int]]:
        """What may follow each text, so many tokens at most."""
        ...

    def select(self, rows: Tensor) -> None:
        """Goes on with some of the texts."""
        ...


class Assistant:
    """Drafts tokens that a model then reads at once.

    Args:
        tokens: how many it drafts at most at a time.

    Attributes:
        drafted: how many tokens it has drafted, in all requests.
        accepted: how many of them the model would have said as well.
        calls: how often a model was called with some.
    """

    def __init__(self, tokens: int):
        check_count(tokens, "tokens")
        if tokens == 0:
            raise GenerationError("an assistant drafts one token at least", field="tokens")
        self.tokens = tokens
        self.drafted = self.accepted = self.calls = 0

    def begin(self, request: Request, sampler: Sampler) -> AbstractContextManager[Drafting]:
        """It, at work on a request."""
        raise TypeError("Assistant is the family; use PromptLookup or DraftModel")

    def __repr__(self) -> str:
        share = f"{self.accepted} of {self.drafted} tokens accepted in {self.calls} calls"
        return f"{type(self).__name__}(tokens={self.tokens}): {share}"


def assistant_of(given: Any) -> Assistant | None:
    """What `assistant=` says, as an assistant; a model drafts by itself."""
    from blocks.generation.draftmodel import DraftModel

    if given is None or isinstance(given, Assistant):
        return given
    if hasattr(given, "init_state") and hasattr(given, "vocab"):
        return DraftModel(given)
    raise GenerationError(
        f"a {type(given).__name__} drafts nothing",
        field="assistant",
        hint="pass a smaller model of the same vocabulary, or PromptLookup()",
    )
