"""The sequences of a call: where they lie in its rows, and what each is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from blocks import Step
from tests.twins.facts import Facts


def padded(layout: str, rows: int, tokens: int) -> Tensor:
    """Where tokens are real: each row has another number of them, at least one."""
    column, lost = torch.arange(tokens)[None], 2 * torch.arange(rows)[:, None]
    if layout == "between":
        return (column + lost) % 3 != 0
    return column >= lost if layout == "left" else column < tokens - lost


def pieces(step: Step) -> Iterator[tuple[int, Tensor]]:
    """The row and the places of each sequence of a step."""
    for row in range(len(step.positions)):
        places = torch.arange(step.positions.shape[1])
        if step.real is not None:
            places = places[step.real[row]]
        if step.segments is None:
            yield row, places
        else:
            kinds = step.segments[row][places]
            for kind in kinds.unique().tolist():
                yield row, places[kinds == kind]


def taken(x: Tensor, row: int, at: Tensor) -> Tensor:
    """A row's own tokens: [B T …] -> [T' …], [B H T E] -> [H T' E]."""
    return x[row].index_select(0 if x.dim() <= 3 else 1, at)


def facts_of(step: Step, row: int, at: Tensor) -> Facts:
    def of(x: Tensor | None) -> Any:
        return None if x is None else x[row if len(x) > 1 else 0][at]

    memory, real = step.memory, step.memory_real
    if memory is not None:
        memory = memory[row] if real is None or real.dim() == 3 else memory[row][real[row]]
    seen, types, marked = of(step.seen), of(step.types), of(step.global_mask)
    return Facts(
        of(step.positions).tolist(),
        memory,
        None if real is None or real.dim() == 2 else real[row][at],
        None if seen is None else seen[:, at],
        None if types is None else types.tolist(),
        None if marked is None else marked.tolist(),
        None if step.condition is None else step.condition[row],
        {name: of(x) for name, x in step.saved.items()},
    )


def cast(x: Any, dtype: torch.dtype) -> Any:
    """A tensor, or a step with all its tensors, of that dtype where it is of floats."""
    if isinstance(x, Tensor):
        return x.to(dtype) if x.is_floating_point() else x
    if isinstance(x, Step):
        kept = {f.name: cast(getattr(x, f.name), dtype) for f in fields(x) if f.init}
        return Step(**{k: v for k, v in kept.items() if k != "_made"})
    return {k: cast(v, dtype) for k, v in x.items()} if isinstance(x, dict) else x
