"""Halves: an encoder, and a decoder that reads what it made."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.models.stack import LayerStack
from blocks.models.tokens import check_frames, check_marks, check_mask, check_tokens, counted
from blocks.ops.check import check_positive
from blocks.spec import Slot
from blocks.state import State
from blocks.step import Step


class Halves(nn.Module):
    """What all assemblies of two stacks are; `EncoderDecoder` has the equation."""

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        encoder: Slot,
        decoder: Slot,
        source: int | None = None,
        context: int | None = None,
    ):
        super().__init__()
        sizes = {"vocab": vocab, "dim": dim, "source": source, "context": context}
        check_positive(type(self).__name__, **sizes)
        self.vocab, self.dim, self.context = vocab, dim, context
        self.source = source or vocab
        self.encoder: LayerStack = encoder(self.source, dim)
        self.frames: bool = getattr(self.encoder.embedding, "reads_frames", False)
        self.decoder: LayerStack = decoder(vocab, dim)

    def encode(
        self, source: Tensor, mask: Tensor | None = None, *, global_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The memory [B M D] of a source, and [B M] which of its places are real, None for all."""
        if self.frames:
            check_frames(source, self.source)
        else:
            check_tokens(source, self.source)
        mask = check_mask(mask, source[..., 0] if self.frames else source)
        marks = check_marks(global_mask, source[..., 0] if self.frames else source)
        step = Step(counted(source, mask), real=mask, global_mask=marks)
        return self.encoder(source, step), self.encoder.told(step)

    def written(
        self,
        target: Tensor,
        memory: Tensor,
        memory_real: Tensor | None = None,
        mask: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, Step]:
        """What the decoder makes [B T D] of a target [B T] over a memory, and the step of it."""
        check_tokens(target, self.vocab)
        mask = check_mask(mask, target)
        if state is not None:
            step = state.begin(target.shape[0], target.shape[1], mask)
        else:
            step = Step(counted(target, mask), real=mask)
        if len(memory) != len(target) and (state is None or state.clock.used == 0):
            raise GenerationError(
                f"{len(memory)} sources can't be answered by {len(target)} targets", field="target"
            )
        step.memory, step.memory_real = memory, memory_real
        content: Any = None if state is None else state.content
        x = self.decoder(target, step, content)  # B T D
        if state is not None:
            state.end(step)
        return x, step
