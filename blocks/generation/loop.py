"""The loop: read the prompt, then one token after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.generation.finite import check_finite
from blocks.generation.prompt import Prompt, read_prompt
from blocks.generation.sampling import Sampler
from blocks.generation.stopping import Stopping

__all__ = ["generate", "stream"]


@torch.no_grad()
def generate(
    model: nn.Module,
    tokens: Any,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | str | Sequence[int | str] | None = None,
    seed: int | None = None,
    mask: Tensor | None = None,
    tokenizer: Any = None,
) -> Tensor:
    """Continues one prompt or a batch of them.

    Args:
        model: anything that speaks the State protocol: `model(tokens, mask, state) -> logits`,
            `model.init_state(batch, room)` and `model.vocab`.
        tokens: ids: a tensor [B T] or [T], or lists, ragged ones too.
        max_new_tokens: how many tokens to add at most.
        temperature, top_k, top_p, min_p, repetition_penalty, seed: as in `Sampler`.
        stop: token ids and strings that end a row. None: what the checkpoint says ends a text.
            Strings need the `tokenizer`.
        mask: [B T], True where a token of the prompts is real; padding may lie on either side.
        tokenizer: decodes while strings are looked for.

    Returns:
        [B T + new] int64: the prompts as they were given, then what was added. Rows that ended
        early are filled with the padding token after the one that ended them.

    Errors:
        GenerationError: an empty prompt, an unknown id, a sampling option out of range, more
            tokens than the model's context, or logits that are not finite (the first bad tensor
            of the model is named).

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> blocks.generate(model, [1, 2, 3], max_new_tokens=5, stop=()).shape
        torch.Size([1, 8])
    """
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty, seed)
    stopping = Stopping(model, stop, tokenizer)
    prompt = read_prompt(tokens, mask, _vocab(model), stopping.pad)
    added = list(_steps(model, prompt, max_new_tokens, sampler, stopping))
    return torch.cat([prompt.given, *(column[:, None] for column in added)], 1)


@torch.no_grad()
def stream(
    model: nn.Module,
    tokens: Any,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | str | Sequence[int | str] | None = None,
    seed: int | None = None,
    tokenizer: Any = None,
) -> Iterator[int]:
    """Continues one prompt, giving each new id as soon as it is there; options as in `generate`.

    The token that ends the text is given as well.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> len(list(blocks.stream(model, [1, 2, 3], max_new_tokens=5, stop=())))
        5
    """
    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty, seed)
    stopping = Stopping(model, stop, tokenizer)
    prompt = read_prompt(tokens, None, _vocab(model), stopping.pad)
    if len(prompt.lengths) != 1:
        raise GenerationError(f"stream takes one prompt, not {len(prompt.lengths)}", field="tokens")
    for column in _steps(model, prompt, max_new_tokens, sampler, stopping):
        yield int(column[0])


def _steps(
    model: Any, prompt: Prompt, new: int, sampler: Sampler, stopping: Stopping
) -> Iterator[Tensor]:
    """The added tokens, a column [B] at a time."""
    _check_room(model, prompt, new)
    batch, longest = prompt.tokens.shape
    device = prompt.tokens.device
    room = longest + new
    switches = _switches(model)
    was_training = model.training
    model.eval()
    try:
        state = model.init_state(batch, room)
        logits = model(prompt.tokens, prompt.mask, state, last=True)[:, -1]  # B V
        seen = _seen(prompt, logits.shape[-1]) if sampler.repetition_penalty != 1.0 else None
        columns: list[Tensor] = []
        for count in range(new):
            check_finite(model, logits, prompt.tokens)
            column = stopping.fill(sampler(logits, seen).to(prompt.tokens.dtype))  # B
            yield column
            columns.append(column)
            if seen is not None:
                seen[torch.arange(batch, device=device), column] = True
            if stopping.after(column) or count == new - 1:
                return
            if any(length + count + 1 in switches for length in prompt.lengths):
                # Angles are others from here on: what was remembered is computed anew.
                whole, mask = _whole(prompt, columns)
                state = model.init_state(batch, room)
                logits = model(whole, mask, state, last=True)[:, -1]
            else:
                logits = model(column[:, None], None, state)[:, -1]  # B V
    finally:
        model.train(was_training)


def _whole(prompt: Prompt, columns: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Prompt and continuation of every row, left-aligned."""
    rows = [
        torch.cat([prompt.tokens[row, :length], torch.stack(columns)[:, row]])
        for row, length in enumerate(prompt.lengths)
    ]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=ids.device)
    return ids, torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]


def _switches(model: nn.Module) -> set[int]:
    """Lengths that can't be reached by adding to what is remembered."""
    scalings = (getattr(module, "scaling", None) for module in model.modules())
    found = (getattr(scaling, "switch", None) for scaling in scalings)
    return {length + 1 for length in found if length is not None}


def _seen(prompt: Prompt, vocab: int) -> Tensor:
    seen = torch.zeros(len(prompt.tokens), vocab, dtype=torch.bool, device=prompt.tokens.device)
    for row, length in enumerate(prompt.lengths):
        seen[row, prompt.tokens[row, :length]] = True
    return seen


def _vocab(model: Any) -> int:
    for name in ("vocab", "init_state"):
        if not hasattr(model, name):
            raise GenerationError(
                f"{type(model).__name__} has no {name}, which generation needs", field="model"
            )
    return model.vocab


def _check_room(model: Any, prompt: Prompt, new: int) -> None:
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
