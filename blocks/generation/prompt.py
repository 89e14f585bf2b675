"""Prompts: one or many, ragged or padded, as one left-aligned batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.models.tokens import check_mask, check_tokens


@dataclass
class Prompt:
    """Prompts as they were given, and as the model reads them.

    Attributes:
        given: [B T], padding where the caller had it.
        tokens: [B L], every row from column 0 on, padding after it.
        mask: [B L], True where real; None where all is real.
        lengths: real tokens a row.
    """

    given: Tensor
    tokens: Tensor
    mask: Tensor | None
    lengths: list[int]

    @property
    def real(self) -> Tensor:
        """[B L], True where a token is real, as `mask` says."""
        return torch.ones_like(self.tokens, dtype=torch.bool) if self.mask is None else self.mask


def read_prompt(
    tokens: Any,
    mask: Tensor | None,
    vocab: int,
    pad: int,
    device: torch.device | None = None,
) -> Prompt:
    """Makes a batch of token ids: a tensor [B T] or [T], or a list of ids or of such lists.

    Lists of different lengths are padded on the left, so that what is generated follows at once;
    `device` is where they go.

    Errors:
        GenerationError: no token at all in a row, ids that aren't in the vocabulary, a mask of
            another shape.
    """
    if not isinstance(tokens, Tensor):
        tokens, mask = (part.to(device) for part in _from_lists(tokens, mask, pad))
    elif device is not None and tokens.device != device:
        reason = f"are on {tokens.device}, the model is on {device}"
        raise GenerationError(reason, field="tokens", hint="tokens.to(device) takes them there")
    if tokens.dim() == 1:
        tokens = tokens[None]
        mask = mask[None] if mask is not None and mask.dim() == 1 else mask
    check_tokens(tokens, vocab)
    mask = check_mask(mask, tokens)
    if mask is None:
        return Prompt(tokens, tokens, None, [tokens.shape[1]] * len(tokens))
    left, real, lengths = left_aligned(tokens, mask, pad)
    if 0 in lengths:
        raise GenerationError(f"row {lengths.index(0)} is empty", field="tokens")
    return Prompt(tokens, left, real, lengths)


def left_aligned(
    tokens: Tensor, real: Tensor, pad: int = 0
) -> tuple[Tensor, Tensor | None, list[int]]:
    """Real tokens of each row [B L] from column 0 on, where they are (None: all), how many."""
    lengths = [int(n) for n in real.sum(1)]
    left = torch.full((len(tokens), max(lengths)), pad, dtype=tokens.dtype, device=tokens.device)
    for row, length in enumerate(lengths):
        left[row, :length] = tokens[row][real[row]]
    column = torch.arange(max(lengths), device=tokens.device)
    there = column < torch.tensor(lengths, device=tokens.device)[:, None]
    return left, None if bool(there.all()) else there, lengths


def ragged(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids, some of them shorter or empty, as tokens [N T], and where they are real."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return tokens, torch.arange(longest, device=device) < lengths[:, None]


def _ids(row: Any) -> list[Any]:
    """A row as it is, and what is no row as one that will be refused."""
    row = row.tolist() if isinstance(row, Tensor) else row
    return list(row) if isinstance(row, Sequence) else [None]


def _from_lists(tokens: Any, mask: Tensor | None, pad: int) -> tuple[Tensor, Tensor]:
    if not isinstance(tokens, Sequence) or isinstance(tokens, str) or len(tokens) == 0:
        raise GenerationError(
            f"prompts are token ids, not {type(tokens).__name__} {tokens!r}",
            field="tokens",
            hint="Tokenizer.encode turns text into ids",
        )
    one = not any(isinstance(part, Sequence | Tensor) for part in tokens)
    rows = [tokens] if one else [_ids(row) for row in tokens]
    if mask is not None:
        raise GenerationError("lists need no mask: their lengths tell", field="mask")
    for row, ids in enumerate(rows):
        if not ids:
            raise GenerationError(f"row {row} is empty", field="tokens")
        if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
            raise GenerationError(f"row {row} holds something that is no int", field="tokens")
    longest = max(len(ids) for ids in rows)
    try:
        padded = torch.tensor([[pad] * (longest - len(ids)) + list(ids) for ids in rows])
    except (OverflowError, RuntimeError, ValueError):
        raise GenerationError("an id is too large for any vocabulary", field="tokens") from None
    lengths = torch.tensor([len(ids) for ids in rows])
    real = torch.arange(longest) >= longest - lengths[:, None]
    return padded, real
