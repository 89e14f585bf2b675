"""Type embedding: which text of a pair a token belongs to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.ops.check import check_input, check_positive
from blocks.step import Step

__all__ = ["TypeEmbedding"]


class TypeEmbedding(nn.Module):
    r"""y_t = x_t + W[type_t], where type_t is 0 unless the step says otherwise

    The segments of Devlin et al., "BERT", 2018, arXiv:1810.04805.

    Args:
        dim: width D.
        types: rows of the table.

    Shapes: x [B T D], step.types [B T] int -> [B T D].

    Errors:
        GenerationError: a type that has no row.

    Example:
        >>> import torch
        >>> from blocks import TypeEmbedding
        >>> TypeEmbedding(8, types=2)(torch.randn(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, *, types: int):
        super().__init__()
        check_positive("TypeEmbedding", dim=dim, types=types)
        self.weight = nn.Parameter(torch.empty(types, dim))
        self.dim = dim
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "TypeEmbedding")
        types = None if step is None else step.types
        if types is None:
            return x + self.weight[0]  # B T D
        if not types.is_meta and not torch.compiler.is_compiling():
            low, high = int(types.min()), int(types.max())
            if low < 0 or high >= len(self.weight):
                raise GenerationError(
                    f"type {low if low < 0 else high} is not one of 0 … {len(self.weight) - 1}",
                    field="types",
                )
        return x + F.embedding(types, self.weight)  # B T D
