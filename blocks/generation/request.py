"""A request, checked: what the model reads, what its texts obey, and where they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.generation.draft import Draft
from blocks.generation.finite import check_finite
from blocks.generation.prompt import Prompt, read_prompt
from blocks.generation.reading import Reading
from blocks.generation.rulebook import Rulebook, defaults_of
from blocks.generation.stopping import Stopping
from blocks.models.encoder import Encoder
from blocks.models.reader import SourceReader

if TYPE_CHECKING:
    from blocks.generation.cache import PromptCache


class Request:
    """What `generate`, `stream` and `beam_search` have in common.

    Attributes:
        model: what reads and writes.
        prompt: what the texts begin with: the prompts, or an encoder–decoder's start tokens.
        rules: what the texts obey.
        stopping: where they end.
        most: how many tokens are added at most.
        beside: what the model is given with the prompts: images, sounds.
        chunk: how many tokens of the prompts are read at a time; None: all.
        cache: what was read before.
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
        chunk: int | None = None,
        cache: PromptCache | None = None,
    ):
        self.model, self.rules, self.most = model, rules, max_new_tokens
        if media is not None and getattr(model, "media", None) is None:
            raise GenerationError(f"a {type(model).__name__} reads tokens alone", field="media")
        self.beside = {} if media is None else {"media": media}
        self.chunk, self.cache = chunk, cache
        vocab = _vocab(model)
        self.stopping = Stopping(model, stop, tokenizer)
        pad, first = self.stopping.pad, next(model.parameters(), None)
        device = None if first is None else first.device
        scalings = (getattr(module, "scaling", None) for module in model.modules())
        self._scalings: list[Any] = [part for part in scalings if getattr(part, "by_length", False)]
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
        self._check_pieces()

    def draft(self) -> Draft:
        """The texts, as yet without an added token."""
        return Draft(self.prompt, self.most, self.stopping.ids, self._read)

    def speaker(self, rows: Tensor | None = None) -> Any:
        """What is called like a `CausalLM`; an encoder–decoder has then read (some of) the rows."""
        if self._source is None:
            return self.model
        source, mask = self._source
        if rows is not None:
            source, mask = source[rows], None if mask is None else mask[rows]
        return self.model.given(source, mask)

    @contextmanager
    def reading(self, draft: Draft | None = None) -> Iterator[Reading]:
        """The model at work, in evaluation mode; afterwards it is as it was.

        A cache that follows is then given what was read of the draft.
        """
        was_training = self.model.training
        self.model.eval()
        try:
            reading = Reading(self)
            try:
                yield reading
            except GeneratorExit:  # left between two tokens
                if draft is not None:
                    reading.leave(draft)
                raise
            if draft is not None:
                reading.leave(draft)
        finally:
            self.model.train(was_training)

    def check(self, logits: Tensor) -> None:
        """Refuses logits that are not finite."""
        prompt = self.prompt
        check_finite(
            self.model,
            logits,
            lambda: self.speaker()(prompt.tokens, prompt.mask, **self.beside),
        )

    def helped(self, model: Any) -> Request:
        """The same request to an assistant."""
        prompt, context = self.prompt, getattr(model, "context", None)
        most = self.most if context is None else min(self.most, context - max(prompt.lengths))
        if most < 1:
            reason = f"its context of {context} is not longer than the prompt"
            raise GenerationError(reason, field="assistant")
        asked: dict[str, Any] = {"max_new_tokens": most, "stop": (), "tokenizer": None}
        tokens = prompt.tokens.clamp(max=model.vocab - 1)  # what it doesn't know it may mistake
        if self._source is None:
            asked |= {"start": None, "chunk": self.chunk}
            return Request(model, tokens, prompt.mask, rules=self.rules, **asked)
        rows = zip(tokens.tolist(), prompt.lengths, strict=True)
        asked["start"] = [row[:n] for row, n in rows]
        return Request(model, *self._source, rules=self.rules, **asked)

    def switches(self) -> set[int]:
        """Lengths that can't be reached by adding to what is remembered."""
        found = (scaling.switch for scaling in self._scalings)
        return {length + 1 for length in found if length is not None}

    def same_angles(self, one: int, other: int) -> bool:
        """Whether all positions of texts of these two lengths are turned alike."""
        for scaling in self._scalings:
            beyond = [length > getattr(scaling, "trained", 0) for length in (one, other)]
            if any(beyond) and not (all(beyond) and scaling.switch is not None):
                return False
        return True

    def _check_pieces(self) -> None:
        """Refuses prompts that can't be read in pieces, where that is asked for."""
        chunk, cache = self.chunk, self.cache
        if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int)):
            raise GenerationError(f"{chunk!r} is not a number of tokens", field="chunk")
        if chunk is not None and chunk < 1:
            raise GenerationError(f"{chunk} is not above zero", field="chunk")
        if self.beside and (chunk, cache) != (None, None):
            field = "chunk" if cache is None else "cache"
            raise GenerationError("prompts with media are read at once", field=field)
        if cache is not None and not hasattr(cache, "recall"):  # its class is built on this one
            raise GenerationError(f"a {type(cache).__name__} is no PromptCache", field="cache")
        if cache is not None and cache.model is not self.model:
            raise GenerationError("it is of another model", field="cache")


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
