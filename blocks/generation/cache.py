"""PromptCache: what was read once is not read again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from blocks.errors import GenerationError
from blocks.generation.request import Request
from blocks.generation.rulebook import Rulebook
from blocks.state import State

__all__ = ["PromptCache"]


class PromptCache:
    """What a model remembers of a text, for prompts that begin with it.

    `generate` and `stream` take it as `cache=`: of a prompt, only what comes behind the part that
    it has in common with the cached text is read. What is written is the same, up to rounding. A
    prompt that begins otherwise is read as a whole; so is one that has a part of the cached text
    only, where the model can't forget its newest tokens (a ring, a state-space model).

    Args:
        model: that will be asked; its weights must not change in the meantime.
        tokens: ids of the text, such as a long document's.
        follow: it goes on with what `generate` and `stream` read and write, if they have one
            prompt: for conversations, in which each prompt begins with the last one and its answer.
        chunk: read `tokens` so many at a time, as in `generate`.

    Attributes:
        tokens: the cached text.
        reused: how many tokens of the last prompt were not read.

    Errors:
        GenerationError: as of `generate`; another model's cache; an encoder–decoder, whose memory
            is of one source.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> cache = blocks.PromptCache(model, [5, 6, 7, 8])
        >>> ids = blocks.generate(model, [5, 6, 7, 8, 9], max_new_tokens=3, cache=cache)
        >>> cache.reused
        4
    """

    def __init__(
        self,
        model: Any,
        tokens: Any = (),
        *,
        follow: bool = False,
        chunk: int | None = None,
    ):
        if hasattr(type(model), "given"):
            reason = f"what a {type(model).__name__} remembers is of one source"
            raise GenerationError(reason, field="model")
        self.model, self.follow = model, follow
        self.tokens: list[int] = []
        self.reused = 0
        self._marks: list[tuple[int, State]] = []  # the memory of so many of the tokens, ascending
        if len(tokens):
            self._fill(tokens, chunk)

    def _fill(self, tokens: Any, chunk: int | None) -> None:
        filled = copy.copy(self)
        filled.follow = True  # for this once
        asked = {"max_new_tokens": 1, "stop": (), "start": None, "tokenizer": None}
        rules = Rulebook(self.model, (), None, None, None)
        request = Request(self.model, tokens, None, rules=rules, chunk=chunk, cache=filled, **asked)
        if len(request.prompt.lengths) != 1:
            raise GenerationError("a cache is of one text", field="tokens")
        with torch.no_grad(), request.reading(request.draft()) as reading:
            reading.begin()
        self.tokens, self._marks = filled.tokens, filled._marks

    def recall(self, request: Request) -> tuple[int, State | None]:
        """How many of each prompt's first tokens need not be read, and the memory of them."""
        prompt = request.prompt
        rows = [row[:n] for row, n in zip(prompt.tokens.tolist(), prompt.lengths, strict=True)]
        common = min(min(shared(self.tokens, row), len(row) - 1) for row in rows)
        self.reused = 0
        for read, state in reversed(self._marks):
            held = read if read <= common else common if state.trims else 0
            if held > 0 and all(request.same_angles(read, len(row)) for row in rows):
                break
        else:
            return 0, None
        self.reused = held
        if self._follows(request) and state.trims:
            self._marks = []  # given back when all went well
        else:
            first = torch.zeros(len(rows), dtype=torch.int64, device=prompt.tokens.device)
            state = state.select(first)
        if read > held:
            state.trim(read - held)
        return held, state

    def marks(self, request: Request, state: State) -> bool:
        """Whether the memory of a prompt is kept beside that of its answer, which can't be cut."""
        if not self._follows(request) or state.trims:
            return False
        length = request.prompt.lengths[0]
        return request.same_angles(length - 1, length)

    def put(self, tokens: Sequence[int], state: State) -> None:
        """Keeps the memory of a text."""
        common = shared(self.tokens, tokens)
        older = [mark for mark in self._marks if mark[0] <= common and not state.trims]
        # The first is that of what was cached on purpose, or of the first prompt.
        self._marks = [*older[:1], *older[1:][-1:], (len(tokens), state)]
        self.tokens = list(tokens)

    def _follows(self, request: Request) -> bool:
        return self.follow and len(request.prompt.lengths) == 1


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens two texts have in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
