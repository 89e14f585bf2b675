"""Learned positions: a table with a row for each place in the sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.step import Step

__all__ = ["LearnedPositions"]


class LearnedPositions(nn.Module):
    r"""y_t = x_t + W[p_t + offset] at position p_t

    Gehring et al., "Convolutional sequence to sequence learning", 2017, arXiv:1705.03122.

    Args:
        dim: width D.
        rows: rows of the table, those before `offset` included.
        offset: the row of position 0: 2 in OPT, BART and RoBERTa, whose first rows have other uses.
        dropout: rate at which channels of the sum are dropped in training.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: an offset that leaves no row, or an input of another width.
        GenerationError: a position beyond the table.

    Example:
        >>> import torch
        >>> from blocks import LearnedPositions
        >>> LearnedPositions(8, rows=16)(torch.randn(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, *, rows: int, offset: int = 0, dropout: float = 0.0):
        super().__init__()
        check_positive("LearnedPositions", dim=dim, rows=rows)
        check_rate("LearnedPositions", dropout=dropout)
        if not 0 <= offset < rows:
            raise SpecError(
                f"offset {offset} is not a row of 0 … {rows - 1}", field="LearnedPositions.offset"
            )
        self.dim, self.rows, self.offset = dim, rows, offset
        self.weight = nn.Parameter(torch.empty(rows, dim))
        self.drop = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "LearnedPositions")
        positions = (Step.plain(x) if step is None else step).positions  # B T
        self._check(positions)
        return self.drop(x + F.embedding(positions + self.offset, self.weight))  # B T D

    def _check(self, positions: Tensor) -> None:
        if positions.is_meta or torch.compiler.is_compiling():
            return  # no values to look at
        room, last = self.rows - self.offset, int(positions.max())
        if last >= room:
            raise GenerationError(
                f"position {last} is beyond the table, which has rows for 0 … {room - 1}",
                field="tokens",
                hint=f"give at most {room} tokens, or use positions that are computed",
            )
