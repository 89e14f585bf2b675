"""Axial positions: places on a grid, with a short table for each axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.step import Step

__all__ = ["AxialPositions"]


class AxialPositions(nn.Module):
    r"""y_t = x_t + [W_1[i_1], …, W_n[i_n]],    where p_t = (i_1 N_2 + i_2) N_3 + … + i_n

    Position p is a place on a grid of N_1 · N_2 · …; half a million positions take tables of some
    thousand rows. Kitaev et al., "Reformer", 2020, arXiv:2001.04451. With one axis it is a table
    of learned positions.

    Args:
        dim: width D, a multiple of what `widths` sum to: the vector is repeated to fill it, once
            for each stream of a reversible model.
        shape: places N on each axis.
        widths: channels of each axis' table.
        dropout: rate at which channels of the vector are dropped in training.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.
        GenerationError: a position beyond the grid.

    Example:
        >>> import torch
        >>> from blocks import AxialPositions
        >>> positions = AxialPositions(8, shape=(3, 4), widths=(2, 6))
        >>> [tuple(table.shape) for table in positions.weights]
        [(3, 1, 2), (1, 4, 6)]
    """

    def __init__(
        self, dim: int, *, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float = 0.0
    ):
        super().__init__()
        check_positive("AxialPositions", dim=dim)
        check_rate("AxialPositions", dropout=dropout)
        for name, sizes in {"shape": shape, "widths": widths}.items():
            check_positive("AxialPositions", **{name: min(sizes, default=0)})
        if len(shape) != len(widths) or dim % sum(widths):
            raise SpecError(
                f"widths {widths} of {len(shape)} axes can't fill {dim} channels",
                field="AxialPositions.widths",
                hint="one width for each axis; their sum divides dim",
            )
        self.dim, self.shape, self.times = dim, shape, dim // sum(widths)
        at = range(len(shape))
        sizes = [[shape[i] if i == axis else 1 for i in at] + [widths[axis]] for axis in at]
        self.weights = nn.ParameterList([nn.Parameter(torch.empty(size)) for size in sizes])
        self.drop = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in self.weights:
            nn.init.normal_(weight)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "AxialPositions")
        positions = (Step.plain(x) if step is None else step).positions  # B T
        self._check(positions)
        rest, found = positions, []
        for axis in reversed(range(len(self.shape))):
            table = self.weights[axis].flatten(0, -2)  # N E
            found.append(table[rest % self.shape[axis]])  # B T E
            rest = rest // self.shape[axis]
        vector = self.drop(torch.cat(found[::-1], -1))  # B T D/times
        return x + vector.repeat(1, 1, self.times)  # B T D

    def _check(self, positions: Tensor) -> None:
        if positions.is_meta or torch.compiler.is_compiling():
            return  # no values to look at
        room, last = math.prod(self.shape), int(positions.max())
        if last >= room:
            raise GenerationError(
                f"position {last} is beyond the grid, which has places for 0 … {room - 1}",
                field="tokens",
                hint=f"give at most {room} tokens",
            )
