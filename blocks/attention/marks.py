"""Marks: which tokens of a text see all, as values that print, compare and save."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.conform import check_fields
from blocks.errors import GenerationError, SpecError

__all__ = ["BeforeToken", "FirstToken", "Marks"]


@dataclass(frozen=True)
class Marks:
    """A rule that finds the global tokens of a `LongformerAttention` where a call names none."""

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        """[B T] int, and bool where padding is False -> [B T] bool, True where one sees all."""
        raise TypeError("Marks is the family; use FirstToken or BeforeToken")


@dataclass(frozen=True)
class FirstToken(Marks):
    """The first token of each text, from which its class is told.

    Example:
        >>> import blocks, torch
        >>> blocks.FirstToken()(torch.tensor([[7, 8, 9]]))
        tensor([[ True, False, False]])
    """

    def __call__(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
        return real & (real.cumsum(1) == 1)


@dataclass(frozen=True)
class BeforeToken(Marks):
    """All tokens before the first `token`: a question, and the text after a separator.

    Example:
        >>> import blocks, torch
        >>> blocks.BeforeToken(2)(torch.tensor([[0, 5, 2, 2, 7, 2]]))
        tensor([[ True,  True, False, False, False, False]])
    """

    token: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token < 0:
            raise SpecError(f"{self.token} is no token", field="token")

    def __call__(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
        ends = real & (tokens == self.token)
        if not (tokens.is_meta or torch.compiler.is_compiling() or bool(ends.any(1).all())):
            reason = f"a text without token {self.token}, before which the question would stand"
            hint = "say with global_mask which tokens see all"
            raise GenerationError(reason, field="tokens", hint=hint)
        return real & (ends.cumsum(1) == 0)
