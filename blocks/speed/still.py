"""What a graph of a GPU remembers: it reads and writes at the addresses it was recorded with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.speed.slots import Slots
from blocks.state import Content, leaves

__all__: list[str] = []


def settled(contents: Any) -> None:
    """Says of keys and values that they stay where they are, being written in place.

    Without that torch would copy all of them for each step, or make no graph.
    """
    for content in leaves(contents):
        if isinstance(content, Slots):
            for _, tensor in content.tensors():
                torch._dynamo.mark_static_address(tensor)


def moving(contents: Any) -> list[tuple[Content, str, Tensor]]:
    """All other tensors, which a step exchanges for new ones."""
    found = [content for content in leaves(contents) if not isinstance(content, Slots)]
    return [(content, name, tensor) for content in found for name, tensor in content.tensors()]


def keep(contents: Any, before: list[tuple[Content, str, Tensor]]) -> None:
    """Copies what a step has exchanged: the next one writes over the memory of a graph."""
    old = {(id(content), name): tensor for content, name, tensor in before}
    for content, name, tensor in moving(contents):
        if old.get((id(content), name)) is not tensor:
            setattr(content, name, tensor.clone())
