"""The model at work on a request: what it has read so far, and its logits after that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.draft import Draft
from blocks.generation.prompt import left_aligned, ragged
from blocks.state import State

if TYPE_CHECKING:
    from blocks.generation.request import Request


class Reading:
    """What the model has read so far, and its logits after that."""

    def __init__(self, request: Request):
        self._request = request
        self._speaker = request.speaker()
        self._switches = request.switches()
        tokens = request.prompt.tokens
        self._room = tokens.shape[1] + request.most
        self._rows = torch.arange(len(tokens), device=tokens.device)
        self._held, state = (0, None) if request.cache is None else request.cache.recall(request)
        self._state = self._empty(len(tokens)) if state is None else state
        if state is not None:
            state.reserve(self._room)
        self._tail: list[list[int]] = []
        self._back: Any = None

    def _empty(self, rows: int) -> Any:
        if self._request.cache is None:
            return self._speaker.init_state(rows, self._room)
        state = self._speaker.init_state(rows)  # of contents that can be given more room later
        _known(state, "cache").reserve(self._room)
        return state

    def begin(self) -> Tensor:
        """Logits [B V] after the prompts."""
        request, prompt, held = self._request, self._request.prompt, self._held
        longest, cache = prompt.tokens.shape[1], request.cache
        marks = cache is not None and cache.marks(request, self._state)
        if cache is not None and marks and held < longest - 1:
            # Who asks the same again is told what follows the last token.
            self._read(held, longest - 1)
            cache.put(prompt.tokens[0, :-1].tolist(), self._state.copy())
            held = longest - 1
        return self._read(held, longest)

    def _read(self, first: int, end: int) -> Tensor:
        """Logits [B V] after the prompts' tokens from `first` on, read a chunk at a time."""
        request, prompt = self._request, self._request.prompt
        size, found = end - first, None
        if request.chunk is not None and request.same_angles(first + request.chunk, end):
            size = request.chunk
        for start in range(first, end, size):
            tokens = prompt.tokens[:, start : min(start + size, end)]
            real = None if prompt.mask is None else prompt.mask[:, start : start + tokens.shape[1]]
            real = None if real is None or bool(real.all()) else real
            logits = self._speaker(tokens, real, self._state, last=True, **request.beside)[:, -1]
            if found is None or real is None:
                found = logits
            else:  # some texts have ended before
                found = torch.where(real.any(1)[:, None], logits, found)
        assert found is not None
        return self._checked(found)

    def next(self, draft: Draft, column: Tensor) -> Tensor:
        """Logits [N V] after a new token [N] of each text, which the draft holds already."""
        if self._switches and not self._switches.isdisjoint(draft.lengths.tolist()):
            return self._anew(draft.ids, draft.real)
        return self._checked(self._speaker(column[:, None], None, self._state)[:, -1])

    def _anew(self, ids: Tensor, real: Tensor) -> Tensor:
        """Logits [N V] after texts whose angles are others from here on: all is computed anew."""
        whole, mask, _ = left_aligned(ids, real)
        self._speaker = self._request.speaker(self._rows)
        self._state = self._empty(len(whole))
        beside = self._request.beside
        return self._checked(self._speaker(whole, mask, self._state, last=True, **beside)[:, -1])

    def select(self, rows: Tensor) -> None:
        """Goes on with some of the texts; rows [M] may name one more than once."""
        if not torch.equal(rows, torch.arange(len(self._rows), device=rows.device)):
            self._rows, self._state = self._rows[rows], self._state.select(rows)
            self._back = None if self._back is None else self._back.select(rows)
            self._tail = [self._tail[n] for n in rows.tolist()] if self._tail else []

    def leave(self, draft: Draft) -> None:
        """Gives what was read to a cache that follows."""
        cache = self._request.cache
        if cache is not None and cache.follow and len(self._rows) == 1:
            read = int(self._state.clock.next[0])
            cache.put(draft.ids[0, :read].tolist(), self._state)

    def beyond(self, texts: Sequence[Draft]) -> list[int]:
        """How many drafted tokens of each text can be read at once behind its newest."""
        lengths = [int(text.lengths) for text in texts]
        if not self._switches.isdisjoint(lengths):
            return [0] * len(texts)
        same = self._request.same_angles
        found = []
        for text, length in zip(texts, lengths, strict=True):
            most = text.most - text.new - 1
            while most > 0 and not same(length, length + most):
                most -= 1
            found.append(most)
        return found

    def verify(self, texts: Sequence[Draft], drafted: Sequence[Sequence[int]]) -> Tensor:
        """Logits [N T V] after each text's newest token and after each that was drafted for it."""
        if any(int(text.lengths) in self._switches for text in texts):
            rows = [text.ids[0][text.real[0]].tolist() for text in texts]
            self._tail = [row[-1:] for row in rows]
            return self._anew(*ragged(rows, self._rows.device))[:, None]
        self.mark(any(drafted))
        newest = [int(text.ids[0, -1]) for text in texts]
        return self.extend([[new, *more] for new, more in zip(newest, drafted, strict=True)])

    def mark(self, turns: bool = True) -> None:
        """From here on, `keep` can go back; without `turns` it will not have to."""
        self._tail = [[] for _ in self._rows]
        state = _known(self._state, "assistant")
        self._back = state.bookmark() if turns and not state.trims else None

    def extend(self, rows: Sequence[Sequence[int]], *, last: bool = False) -> Tensor:
        """Logits [N T V] after the tokens of each row, or [N 1 V] after the last of each alone."""
        self._tail = [[*old, *new] for old, new in zip(self._tail, rows, strict=True)]
        tokens, real = ragged(rows, self._rows.device)
        mask = None if bool(real.all()) else real
        return self._speaker(tokens, mask, self._state, **({"last": True} if last else {}))

    def keep(self, counts: Sequence[int]) -> None:
        """Forgets what each row has read since the mark, but for so many tokens."""
        surplus = [len(tail) - n for tail, n in zip(self._tail, counts, strict=True)]
        kept = [tail[:n] for tail, n in zip(self._tail, counts, strict=True)]
        if self._back is not None and any(surplus):
            self._state, self._back = self._back, None
            if any(kept):
                self.extend(kept, last=True)
        elif any(surplus):
            alike = len(set(surplus)) == 1
            device = self._rows.device
            self._state.trim(surplus[0] if alike else torch.tensor(surplus, device=device))
        self._tail = kept

    def _checked(self, logits: Tensor) -> Tensor:
        self._request.check(logits)
        return logits  # N V


def _known(state: Any, field: str) -> State:
    """A state that can be gone back to."""
    if isinstance(state, State):
        return state
    raise GenerationError(f"a {type(state).__name__} can't be gone back to", field=field)
