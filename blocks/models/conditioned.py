"""Conditioned: a language model of the answers to given sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blocks.state import State

if TYPE_CHECKING:
    from blocks.models.encoder_decoder import EncoderDecoder

__all__ = ["Conditioned"]


# What else a language model is asked for by those who let it write.
_OF_THE_MODEL = frozenset(
    ("eval", "generation", "modules", "named_modules", "parameters", "train", "training")
)


class Conditioned:
    """An `EncoderDecoder` that has read its sources: `model.given(source)`.

    It is called as a `CausalLM` is, so that whatever continues a text can write an answer. With a
    state the sources are read by its first step, and rows selected from it take theirs along.

    Attributes:
        model: the encoder–decoder.
        memory: [B M D] of the sources.
        real: [B M], True where a place of the memory is not padding; None where all are.
    """

    def __init__(self, model: EncoderDecoder, memory: Tensor, real: Tensor | None = None):
        self.model, self.memory, self.real = model, memory, real
        self.vocab, self.context = model.vocab, model.context

    def __call__(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        last: bool = False,
    ) -> Tensor:
        """Logits of the token after each one, [B T V]; after the last alone, [B 1 V]."""
        return self.model.decode(tokens, self.memory, self.real, mask, state, last=last)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` answers of up to `room` tokens (None: it grows)."""
        return self.model.init_state(batch, room, dtype)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_MODEL:
            return getattr(self.model, name)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")
