"""EncoderDecoder: one stack reads a sequence, another writes the answer to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.heads.language import LMHead
from blocks.models.conditioned import Conditioned
from blocks.models.places import tie
from blocks.models.stack import LayerStack
from blocks.models.tokens import (
    check_frames,
    check_marks,
    check_mask,
    check_tokens,
    counted,
    newest,
)
from blocks.ops.check import check_positive
from blocks.spec import Slot, Spec
from blocks.state import State
from blocks.step import Step

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    r"""memory = encoder(source),        logits = head(decoder(target, memory))

    Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762.

    Args:
        vocab: tokens V of the target.
        dim: width D.
        encoder: slot of sizes (source or vocab, dim), a `LayerStack` that looks both ways.
        decoder: slot of sizes (vocab, dim), a `LayerStack` whose layers read the memory.
        head: slot of sizes (dim, vocab).
        source: tokens of the source, where it has a vocabulary of its own; None is V. Channels C of
            its frames, where the encoder's embedding reads frames [B T C] (`reads_frames`).
        ties: pairs (place, source) of addresses that share one tensor or block.
        context: how many target tokens the model was made for; None where there is no such bound.

    Shapes: source [B M] int (or frames [B M C]), target [B T] int -> logits [B T V].

    Attributes:
        spec: the Spec it was built from.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import Chain, CrossAttention, EncoderDecoder, Full, GQAttention
        >>> from blocks import Residual, Spec, LayerStack
        >>> reads = Spec(Residual, inner=Spec(GQAttention, heads=4, mask=Full()))
        >>> writes = Spec(Chain, steps={
        ...     "attention": Spec(Residual, inner=Spec(GQAttention, heads=4)),
        ...     "cross": Spec(Residual, inner=Spec(CrossAttention, heads=4)),
        ... })
        >>> model = EncoderDecoder(vocab=100, dim=16, encoder=Spec(LayerStack, layers=(reads,)),
        ...                        decoder=Spec(LayerStack, layers=(writes,)))
        >>> model(torch.tensor([[5, 6, 7]]), torch.tensor([[1, 2]])).shape
        torch.Size([1, 2, 100])
    """

    forgets = ("encoder",)  # it reads a source once

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        encoder: Slot,
        decoder: Slot,
        head: Slot = LMHead,
        source: int | None = None,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        super().__init__()
        check_positive("EncoderDecoder", vocab=vocab, dim=dim, source=source, context=context)
        self.spec = Spec(
            EncoderDecoder,
            vocab=vocab,
            dim=dim,
            encoder=encoder,
            decoder=decoder,
            head=head,
            source=source,
            ties=ties,
            context=context,
        )
        self.vocab, self.dim, self.context = vocab, dim, context
        self.source = source or vocab
        self.encoder: LayerStack = encoder(self.source, dim)
        self.frames: bool = getattr(self.encoder.embedding, "reads_frames", False)
        self.decoder: LayerStack = decoder(vocab, dim)
        self.head = head(dim, vocab)
        tie(self, ties)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        *,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits of the token after each of the target's.

        Args:
            source: [B M] int, or frames [B M C].
            target: [B T] int, which begins with the token that starts every answer.
            source_mask, target_mask: [B M] and [B T] bool, True where real.
            global_mask: [B M] bool, True where a token of the source sees all and is seen by all,
                in layers with a window (Longformer).
        """
        memory, real = self.encode(source, source_mask, global_mask=global_mask)
        return self.decode(target, memory, real, target_mask)

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
        return self.encoder(source, step), self.encoder.shrunk(step).real

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        memory_real: Tensor | None = None,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        last: bool = False,
    ) -> Tensor:
        """Logits of a target [B T] over a memory; `last` gives those after its last token."""
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
        x = self.decoder(target, step, None if state is None else state.content)  # B T D
        if state is not None:
            state.end(step)
        return self.head(newest(x, mask) if last else x)  # B T V

    def given(
        self, source: Tensor, mask: Tensor | None = None, *, global_mask: Tensor | None = None
    ) -> Conditioned:
        """The language model of answers to these sources, called like a `CausalLM`."""
        return Conditioned(self, *self.encode(source, mask, global_mask=global_mask))

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` targets of up to `room` tokens (None: it grows)."""
        return State.of(self.decoder, batch, room, dtype)
