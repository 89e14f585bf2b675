"""The loop: read the prompt, then one token after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.alike import alike
from blocks.generation.assistant import Assistant, assistant_of
from blocks.generation.cache import PromptCache
from blocks.generation.request import Request
from blocks.generation.rulebook import Rulebook
from blocks.generation.sampling import Sampler
from blocks.generation.scores import Rule
from blocks.generation.speculation import written

__all__ = ["generate", "stream"]


def _asked(
    model: Any,
    tokens: Any,
    *,
    max_new_tokens: int = 128,
    min_new_tokens: int | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    no_repeat_ngram: int | None = None,
    rules: Sequence[Rule] = (),
    stop: int | str | Sequence[int | str] | None = None,
    start: int | Sequence[int] | Sequence[Sequence[int]] | None = None,
    seed: int | None = None,
    mask: Tensor | None = None,
    media: Tensor | None = None,
    tokenizer: Any = None,
    chunk: int | None = None,
    cache: PromptCache | None = None,
    assistant: Any = None,
) -> tuple[Request, Sampler, Assistant | None]:
    """The arguments of `generate` and `stream`, checked."""
    sampler = Sampler(temperature, top_k, top_p, min_p, seed)
    book = Rulebook(model, rules, repetition_penalty, no_repeat_ngram, min_new_tokens)
    asked = {"max_new_tokens": max_new_tokens, "stop": stop, "start": start}
    asked |= {"media": media, "tokenizer": tokenizer, "chunk": chunk, "cache": cache}
    return Request(model, tokens, mask, rules=book, **asked), sampler, assistant_of(assistant)


@alike(_asked)
def generate(*given: Any, **options: Any) -> Tensor:
    """Continues one prompt or a batch of them, or answers sources.

    What the checkpoint says of the tokens that a text may hold is obeyed: `model.generation` lists
    it, and an argument given here takes its place. How the next token is found is said here alone:
    the likeliest one, or a draw where there is a temperature. For a checkpoint that was made for
    beams (`model.generation.beams`), `beam_search` finds better texts.

    Args:
        model: anything that speaks the State protocol: `model(tokens, mask, state) -> logits`,
            `model.init_state(batch, room)` and `model.vocab`; or an encoder–decoder, which makes
            such a model of its sources: `model.given(tokens, mask)`.
        tokens: ids: a tensor [B T] or [T], or lists, ragged ones too. An encoder–decoder's source;
            frames [B T C] where it reads those.
        max_new_tokens: how many tokens to add at most.
        min_new_tokens: how many to add at least: until then no id of `stop` comes.
        temperature, top_k, top_p, min_p, seed: as in `Sampler`.
        repetition_penalty: as in `RepetitionPenalty`; 1 for none.
        no_repeat_ngram: no run of so many tokens comes twice; 0 for no such rule.
        rules: further rules such as `ForcedFirst(5)`, in the place of the checkpoint's of the same
            kind; or callables of your own, `(scores, draft) -> scores`.
        stop: token ids and strings that end a row. None: what the checkpoint says ends a text.
            Strings need the `tokenizer`.
        start: what an encoder–decoder's answers begin with: an id, ids, or ids row by row. None:
            the token that the checkpoint names.
        mask: [B T], True where a token of the prompts is real; padding may lie on either side.
        media: what stands in the places of the prompts' placeholders, as the model takes it.
        tokenizer: decodes while strings are looked for.
        chunk: read the prompt so many tokens at a time: a long one then takes less memory. A prompt
            whose length changes how its positions are turned is read at once all the same.
        cache: a `PromptCache`: the part of the prompt that it holds is not read again.
        assistant: a smaller model of the same vocabulary, a `DraftModel` of it, or `PromptLookup`:
            it drafts some tokens, and the model reads them at once and says how many it would have
            written too. The text is the same, at any temperature (for the same seed), and comes
            sooner where drafts are good. A rule of your own sees each text by itself then.

    Returns:
        [B T + new] int64: the prompts as they were given (an encoder–decoder's start), then what
        was added. Rows that ended early are filled with the padding token after the one that ended
        them.

    Errors:
        GenerationError: an empty prompt, an unknown id, a sampling option out of range, more
            tokens than the model's context, an encoder–decoder without a start, rules that leave
            no token, or logits that are not finite (the first bad tensor of the model is named).

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> blocks.generate(model, [1, 2, 3], max_new_tokens=5, stop=()).shape
        torch.Size([1, 8])
    """
    request, sampler, assistant = _asked(*given, **options)
    prompt = request.prompt.given
    if assistant is not None:
        return torch.cat([prompt, _gathered(request, sampler, assistant)], 1)
    columns = list(_columns(request, sampler))
    return torch.cat([prompt, *(column[:, None] for column in columns)], 1)


@alike(_asked)
def stream(*given: Any, **options: Any) -> Iterator[int]:
    """Continues one prompt, giving each new id as soon as it is there; arguments as of `generate`.

    The token that ends the text is given as well.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> len(list(blocks.stream(model, [1, 2, 3], max_new_tokens=5, stop=())))
        5
    """
    request, sampler, assistant = _asked(*given, **options)
    if (rows := len(request.prompt.lengths)) != 1:
        raise GenerationError(f"stream takes one prompt, not {rows}", field="tokens")
    if assistant is None:
        return (int(column[0]) for column in _columns(request, sampler))
    return (token for _, tokens in written(request, sampler, assistant) for token in tokens)


def _gathered(request: Request, sampler: Sampler, assistant: Assistant) -> Tensor:
    """The added tokens [B new], filled with the padding token."""
    given = request.prompt.given
    rows: list[list[int]] = [[] for _ in given]
    for row, tokens in written(request, sampler, assistant):
        rows[row] += tokens
    longest = max(map(len, rows))
    pad = request.stopping.pad
    filled = [row + [pad] * (longest - len(row)) for row in rows]
    return torch.tensor(filled, dtype=given.dtype, device=given.device)


@torch.no_grad()
def _columns(request: Request, sampler: Sampler) -> Iterator[Tensor]:
    """The added tokens, a column [B] at a time."""
    stopping, draft = request.stopping, request.draft()
    with request.reading(draft) as reading:
        logits = reading.begin().float()  # B V
        while True:
            scores = request.rules(logits, draft)
            if stopping.done is not None:  # whatever a row says that has ended is filled
                scores = torch.where(stopping.done[:, None], logits, scores)
            request.rules.check_left(scores)
            column = stopping.fill(sampler(scores).to(request.prompt.given.dtype))  # B
            yield column
            draft.append(column)
            if stopping.after(column) or draft.new == draft.most:
                return
            logits = reading.next(draft, column).float()
