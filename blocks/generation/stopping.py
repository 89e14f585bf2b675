"""When a row ends: by a token, or by a string in its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError


class Stopping:
    """Follows which rows have ended.

    Args:
        model: its `generation` defaults say which tokens end a text where `stop` is None.
        stop: ids and strings.
        tokenizer: has `decode`; needed for strings.
    """

    def __init__(self, model: Any, stop: Any, tokenizer: Any):
        defaults = getattr(model, "generation", None)
        eos = tuple(getattr(defaults, "eos", ()))
        several = isinstance(stop, Iterable) and not isinstance(stop, str)
        given = eos if stop is None else tuple(stop) if several else (stop,)
        self.ids = frozenset(part for part in given if isinstance(part, int))
        self.strings = [part for part in given if isinstance(part, str)]
        for part in given:
            if not isinstance(part, int | str) or isinstance(part, bool) or part == "":
                raise GenerationError(f"{part!r} is neither a token id nor a string", field="stop")
        if self.strings and tokenizer is None:
            raise GenerationError(
                f"the string {self.strings[0]!r} can't be found without a tokenizer",
                field="stop",
                hint="pass tokenizer=",
            )
        for id in () if stop is None else self.ids:
            if not 0 <= id < model.vocab:
                reason = f"{id} is not in the vocabulary 0 … {model.vocab - 1}: no text would end"
                raise GenerationError(reason, field="stop")
        pad = getattr(defaults, "pad", None)
        # A token to pad with that a tokenizer was given later has no row in the model.
        known = (i for i in (pad, *sorted(self.ids)) if i is not None and 0 <= i < model.vocab)
        self.pad = next(known, 0)
        self._tokenizer = tokenizer
        self.done: Tensor | None = None  # [B], once there is something to tell
        self._texts: list[Any] = []

    def fill(self, column: Tensor) -> Tensor:
        """New tokens [B], the padding token where a row had ended."""
        return column if self.done is None else torch.where(self.done, self.pad, column)

    def after(self, column: Tensor) -> bool:
        """Notes what the tokens [B] end; whether every row has ended."""
        if not self.ids and not self.strings:
            return False
        if self.done is None:
            self.done = torch.zeros_like(column, dtype=torch.bool)
        ended = [i in self.ids for i in column.tolist()]
        if self.strings:
            ended = [a or b for a, b in zip(ended, self._ended_by_text(column), strict=True)]
        self.done = self.done | torch.tensor(ended, device=column.device)
        return bool(self.done.all())

    def ends(self, added: Tensor) -> Tensor:
        """Whether each of the texts [N T], which had not ended before, ends with its last token."""
        ended = torch.zeros(len(added), dtype=torch.bool, device=added.device)
        for end in self.ids:
            ended |= added[:, -1] == end
        if self.strings:
            texts = [self._tokenizer.decode(row) for row in added.tolist()]
            found = [any(string in text for string in self.strings) for text in texts]
            ended |= torch.tensor(found, device=added.device)
        return ended

    def _ended_by_text(self, column: Tensor) -> Sequence[bool]:
        from blocks.text.detokenize import Detokenizer

        if not self._texts:
            self._texts = [[Detokenizer(self._tokenizer), ""] for _ in range(len(column))]
        longest = max(len(string) for string in self.strings)
        ended = []
        for row, token in zip(self._texts, column.tolist(), strict=True):
            new = row[0].push(token)
            text = row[1] + new
            ended.append(any(string in text for string in self.strings))
            row[1] = text[-longest:]
        return ended
