"""A request, checked: what the model reads, what its texts obey, and where they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.generation.draft import Draft
from blocks.generation.finite import check_finite
from blocks.generation.prompt import Prompt, left_aligned, read_prompt
from blocks.generation.rulebook import Rulebook, defaults_of
from blocks.generation.stopping import Stopping
from blocks.models.encoder import Encoder
from blocks.models.reader import SourceReader


class Request:
    """What `generate`, `stream` and `beam_search` have in common.

    Attributes:
        prompt: what the texts begin with: the prompts, or an encoder–decoder's start tokens.
        rules: what the texts obey.
        stopping: where they end.
        most: how many tokens are added at most.
        beside: what the model is given with the prompts: images, sounds.
    """

    def __init__(
        self,
        model: Any,
        tokens: Any,
        mask: Tensor | None,
        *,
        rules: Rulebook,
        max_new_tokens: int,
        stop: Any,
        start: Any,
        tokenizer: Any,
        media: Tensor | None = None,
    ):
        self._model, self.rules, self.most = model, rules, max_new_tokens
        if media is not None and getattr(model, "media", None) is None:
            raise GenerationError(f"a {type(model).__name__} reads tokens alone", field="media")
        self.beside = {} if media is None else {"media": media}
        vocab = _vocab(model)
        self.stopping = Stopping(model, stop, tokenizer)
        pad, first = self.stopping.pad, next(model.parameters(), None)
        device = None if first is None else first.device
        self._source: tuple[Tensor, Tensor | None] | None = None
        self._read: tuple[Tensor, Tensor] | None = None
        if not hasattr(type(model), "given"):  # it continues what it reads
            if start is not None:
                name = type(model).__name__
                raise GenerationError(f"a {name} begins with its prompt", field="start")
            self.prompt = read_prompt(tokens, mask, vocab, pad, device)
        elif getattr(model, "frames", False):
            if not isinstance(tokens, Tensor) or tokens.dim() not in (2, 3):
                raise GenerationError("it reads frames, a tensor [B T C]", field="tokens")
            self._source = (tokens[None] if tokens.dim() == 2 else tokens, mask)
            self.prompt = _answers(model, start, len(self._source[0]), vocab, pad, tokens.device)
        else:
            read = read_prompt(tokens, mask, model.source, pad, device)
            self._source, self._read = (read.tokens, read.mask), (read.tokens, read.real)
            rows = len(read.lengths)
            self.prompt = _answers(model, start, rows, vocab, pad, read.tokens.device)
        _check_room(model, self.prompt, max_new_tokens)

    def draft(self) -> Draft:
        """The texts, as yet without an added token."""
        return Draft(self.prompt, self.most, self.stopping.ids, self._read)

    def speaker(self, rows: Tensor | None = None) -> Any:
        """What is called like a `CausalLM`; an encoder–decoder has then read (some of) the rows."""
        if self._source is None:
            return self._model
        source, mask = self._source
        if rows is not None:
            source, mask = source[rows], None if mask is None else mask[rows]
        return self._model.given(source, mask)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """The model at work, in evaluation mode; afterwards it is as it was."""
        was_training = self._model.training
        self._model.eval()
        try:
            yield Reading(self)
        finally:
            self._model.train(was_training)

    def check(self, logits: Tensor) -> None:
        """Refuses logits that are not finite."""
        prompt = self.prompt
        check_finite(
            self._model,
            logits,
            lambda: self.speaker()(prompt.tokens, prompt.mask, **self.beside),
        )

    def switches(self) -> set[int]:
        """Lengths that can't be reached by adding to what is remembered."""
        scalings = (getattr(module, "scaling", None) for module in self._model.modules())
        found = (getattr(scaling, "switch", None) for scaling in scalings)
        return {length + 1 for length in found if length is not None}


class Reading:
    """What the model has read so far, and its logits after that."""

    def __init__(self, request: Request):
        self._request = request
        self._speaker = request.speaker()
        self._switches = request.switches()
        tokens = request.prompt.tokens
        self._room = tokens.shape[1] + request.most
        self._rows = torch.arange(len(tokens), device=tokens.device)
        self._state = self._speaker.init_state(len(tokens), self._room)

    def begin(self) -> Tensor:
        """Logits [B V] after the prompts."""
        prompt = self._request.prompt
        beside = self._request.beside
        logits = self._speaker(prompt.tokens, prompt.mask, self._state, last=True, **beside)
        return self._checked(logits)

    def next(self, draft: Draft, column: Tensor) -> Tensor:
        """Logits [N V] after a new token [N] of each text, which the draft holds already."""
        if self._switches and not self._switches.isdisjoint(draft.lengths.tolist()):
            # Angles are others from here on: what was remembered is computed anew.
            whole, mask, _ = left_aligned(draft.ids, draft.real)
            self._speaker = self._request.speaker(self._rows)
            self._state = self._speaker.init_state(len(whole), self._room)
            beside = self._request.beside
            return self._checked(self._speaker(whole, mask, self._state, last=True, **beside))
        return self._checked(self._speaker(column[:, None], None, self._state))

    def select(self, rows: Tensor) -> None:
        """Goes on with some of the texts; rows [M] may name one more than once."""
        if not torch.equal(rows, torch.arange(len(self._rows), device=rows.device)):
            self._rows, self._state = self._rows[rows], self._state.select(rows)

    def _checked(self, logits: Tensor) -> Tensor:
        self._request.check(logits[:, -1])
        return logits[:, -1]  # N V


def _answers(
    model: Any, start: Any, rows: int, vocab: int, pad: int, device: torch.device
) -> Prompt:
    """What an encoder–decoder's answers begin with, row by row."""
    if start is None:
        defaults = defaults_of(model)
        start = defaults.bos if defaults.start is None else defaults.start
    if start is None:
        raise GenerationError(
            "which token an answer begins with is not known",
            field="start",
            hint="pass start=, the checkpoint's decoder_start_token_id",
        )
    start = start.tolist() if isinstance(start, Tensor) else start
    start = start if isinstance(start, Sequence) else [start]
    each = all(isinstance(part, Sequence | Tensor) for part in start)
    try:
        prompt = read_prompt(start if each else [start] * rows, None, vocab, pad, device)
    except GenerationError as error:
        raise GenerationError(error.reason, field="start") from None
    if len(prompt.lengths) != rows:
        reason = f"{len(prompt.lengths)} beginnings of answers to {rows} sources"
        raise GenerationError(reason, field="start")
    return prompt


def _vocab(model: Any) -> int:
    if isinstance(model, Encoder):
        reason = f"a {type(model).__name__} writes nothing"
        raise GenerationError(reason, field="model", hint="fill_mask tells what is hidden")
    if isinstance(model, SourceReader):
        reason = "its checkpoint names a model without a language-model head"
        hint = "from_pretrained(..., rewrite=...) puts a head on it, see SourceReader"
        raise GenerationError(reason, field="model", hint=hint)
    for name in ("vocab", "init_state"):
        if not hasattr(model, name):
            raise GenerationError(
                f"{type(model).__name__} has no {name}, which generation needs", field="model"
            )
    return model.vocab


def _check_room(model: nn.Module, prompt: Prompt, new: int) -> None:
    if isinstance(new, bool) or not isinstance(new, int) or new < 1:
        raise GenerationError(f"{new!r} is not a whole number above zero", field="max_new_tokens")
    context = getattr(model, "context", None)
    longest = max(prompt.lengths)
    if context is None or longest + new <= context:
        return
    if longest >= context:
        raise GenerationError(
            f"a prompt of {longest} tokens leaves no room in the model's context of {context}",
            field="tokens",
            hint="shorten the prompt",
        )
    raise GenerationError(
        f"{longest} tokens of prompt and {new} new ones exceed the model's context of {context}",
        field="max_new_tokens",
        hint=f"at most {context - longest} fit",
    )
