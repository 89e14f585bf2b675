"""DraftModel: a smaller model drafts what a larger one may say."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.assistant import Assistant
from blocks.generation.cache import shared
from blocks.generation.draft import Draft
from blocks.generation.line import Line
from blocks.generation.reading import Reading
from blocks.generation.request import Request
from blocks.generation.sampling import Sampler

__all__ = ["DraftModel"]

_ALIKE = 0.01  # vocabularies of one tokenizer differ by padding alone


class DraftModel(Assistant):
    """Drafts what a smaller model of the same vocabulary says.

    `generate(..., assistant=model)` makes one; made by oneself, it tells afterwards what came of
    it. Leviathan et al., 2022, arXiv:2211.17192.

    Args:
        model: the smaller model; an encoder–decoder for an encoder–decoder, and nothing else.
        tokens: how many tokens are drafted at most at a time; fewer while the models disagree.

    Attributes:
        drafted, accepted: how many tokens it has drafted, and how many the model agreed with.
        calls: how often the larger model was called with a draft.

    Errors:
        GenerationError: another vocabulary, device or kind of model than the one that is helped, or
            a context too short for the prompt.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> helper = blocks.DraftModel(model)  # the best draft of all, though it saves nothing
        >>> ids = blocks.generate(model, [1, 2, 3], max_new_tokens=9, stop=(), assistant=helper)
        >>> helper.accepted == helper.drafted > 0
        True
    """

    def __init__(self, model: Any, tokens: int = 8):
        super().__init__(tokens)
        self.model = model

    @contextmanager
    def begin(self, request: Request, sampler: Sampler) -> Iterator[_Pupil]:
        self._check(request)
        own = request.helped(self.model)
        with own.reading() as reading:
            yield _Pupil(request, own, reading, sampler)

    def _check(self, request: Request) -> None:
        own, other = self.model, request.model
        if abs(own.vocab - other.vocab) > _ALIKE * other.vocab:
            raise GenerationError(
                f"it knows {own.vocab} tokens and the model {other.vocab}",
                field="assistant",
                hint="an assistant shares the model's tokenizer; PromptLookup() needs no model",
            )
        if hasattr(type(own), "given") != hasattr(type(other), "given"):
            reason = f"a {type(own).__name__} can't draft for a {type(other).__name__}"
            raise GenerationError(reason, field="assistant")
        devices = {part.device for model in (own, other) for part in model.parameters()}
        if len({device.type for device in devices}) > 1:
            raise GenerationError("it is on another device than the model", field="assistant")


class _Pupil:
    """The smaller model at work: it reads what was written, and goes on by itself."""

    def __init__(self, request: Request, own: Request, reading: Reading, sampler: Sampler):
        self._rules, self._sampler, self._reading = request.rules, sampler, reading
        self._vocab, self._own = request.model.vocab, own.model.vocab
        self._room = own.prompt.tokens.shape[1] + own.most
        self._known = list(own.prompt.lengths)  # how much of each text it has read
        self._ahead: list[list[int]] = [
            [] for _ in self._known
        ]  # and what it has drafted and read behind that
        self._begun = False

    def propose(self, lines: Sequence[Line], limits: Sequence[int]) -> list[list[int]]:
        texts = [line.draft.ids[0][line.draft.real[0]].tolist() for line in lines]
        rooms = [self._room + 1 - len(text) for text in texts]
        wanted = [min(pair) for pair in zip(limits, rooms, strict=True)]
        found: list[list[int]] = [[] for _ in lines]
        if max(wanted) < 1 or min(rooms) < 1:
            return found
        logits = self._catch_up(texts)
        drafts, ahead = [copy.copy(line.draft) for line in lines], self._sampler.ahead()
        for n in range(max(wanted)):
            new: list[list[int]] = [[] for _ in lines]
            for row, line in enumerate(lines):
                if len(found[row]) == n < wanted[row]:
                    new[row] = self._next(logits[row], ahead, line, drafts[row])
            found = [[*own, *token] for own, token in zip(found, new, strict=True)]
            if n + 1 >= max(wanted) or not any(new):
                break
            logits = self._read(new)
            self._ahead = [[*a, *token] for a, token in zip(self._ahead, new, strict=True)]
        return found

    def _catch_up(self, texts: Sequence[list[int]]) -> Tensor:
        """Logits [N V] after all that was written; what was drafted in vain is forgotten."""
        if self._begun:
            behind = [text[n:] for text, n in zip(texts, self._known, strict=True)]
            right = [shared(*pair) for pair in zip(self._ahead, behind, strict=True)]
            self._reading.keep(right)
            self._known = [n + more for n, more in zip(self._known, right, strict=True)]
        else:
            self._reading.begin()
            self._begun = True
        self._reading.mark(False)
        logits = self._read([text[n:] for text, n in zip(texts, self._known, strict=True)])
        self._reading.mark()
        self._known, self._ahead = list(map(len, texts)), [[] for _ in texts]
        return logits

    def _read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        known = [[min(token, self._own - 1) for token in row] for row in rows]
        logits = self._reading.extend(known, last=True)[:, -1].float()
        more = self._vocab - self._own  # less than none: what the model doesn't know is cut off
        return F.pad(logits, (0, more), value=-math.inf)

    def _next(self, logits: Tensor, ahead: Sampler, line: Line, draft: Draft) -> list[int]:
        """What it would say next; nothing where a text has ended or its logits are no numbers."""
        if draft.new and int(draft.ids[0, -1]) in draft.ends:
            return []
        scores = self._rules(logits[None], draft)
        if not math.isfinite(float(scores.amax())):
            return []
        column = ahead(scores, (line.row,))
        draft.append(column)
        return [int(column)]

    def select(self, rows: Tensor) -> None:
        self._known = [self._known[n] for n in rows.tolist()]
        self._ahead = [self._ahead[n] for n in rows.tolist()]
        self._reading.select(rows)
