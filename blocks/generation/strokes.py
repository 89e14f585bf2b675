"""Writing by hand: moves of a pen, drawn one after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.prompt import read_prompt
from blocks.generation.seeds import seeded
from blocks.models.handwriting import Handwriting
from blocks.ops.check import check_module

__all__ = ["handwrite"]


@torch.no_grad()
def handwrite(
    model: Handwriting,
    text: Tensor | Sequence[Sequence[int]] | None = None,
    *,
    rows: int = 1,
    most: int = 700,
    bias: float = 0.0,
    seed: int | None = None,
) -> list[Tensor]:
    """Draws what a `Handwriting` writes: a tensor [T 3] of offsets and lifts of the pen for a row.

    Graves, 2013, arXiv:1308.0850, sections 4.2, 5.3 and 5.4. A row ends when its window has moved
    past the last character, or after `most` moves.

    Args:
        model: what writes.
        text: ids of characters, row by row, ragged ones too; None where it writes freely.
        rows: how many rows to write where there is no text.
        most: how many moves a row has at most.
        bias: 0 draws as it is; the larger, the likelier and neater what is drawn.
        seed: of what is drawn.

    Errors:
        GenerationError: a text where the model reads none, none where it does, or a bias below 0.

    Example:
        >>> from blocks import graves_handwriting, handwrite
        >>> model = graves_handwriting(hidden=8)()
        >>> [row.shape for row in handwrite(model, rows=2, most=4, seed=0)]
        [torch.Size([4, 3]), torch.Size([4, 3])]
    """
    check_module(model, Handwriting, error=GenerationError)
    if (text is None) != (model.vocab is None):
        reason = "this model writes freely" if model.vocab is None else "what is it to write?"
        raise GenerationError(reason, field="text")
    if rows < 1 or most < 1:
        raise GenerationError(f"{rows} rows of {most} moves", field="rows" if rows < 1 else "most")
    first = next(model.parameters())
    letters = mask = None
    if text is not None and model.vocab is not None:
        read = read_prompt(text, None, model.vocab, 0, first.device)
        letters, mask, rows = read.tokens, read.mask, len(read.lengths)
    generator = seeded(seed, first.device)
    point = torch.zeros(rows, 1, 3, dtype=first.dtype, device=first.device)
    state = model.init_state(rows)
    lengths = torch.full((rows,), most, device=first.device)
    found = []
    was_training = model.training
    model.eval()
    try:
        for n in range(most):
            y = model(point, *((letters, None, mask) if n == 0 else ()), state=state)
            if letters is not None:
                past = state.content[0].pattern.argmax(1) == letters.shape[1]
                lengths = torch.where(past & (lengths == most), n, lengths)
                if int(lengths.max()) <= n:
                    break
            point = model.head.mixture(y, bias).sample(generator)  # B 1 3
            found.append(point)
    finally:
        model.train(was_training)
    whole = torch.cat([point[:, :0], *found], 1)
    return [row[:length] for row, length in zip(whole, lengths.tolist(), strict=True)]
