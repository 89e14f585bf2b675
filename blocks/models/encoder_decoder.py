"""EncoderDecoder: one stack reads a sequence, another writes the answer to it."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.heads.language import LMHead
from blocks.models.conditioned import Conditioned
from blocks.models.halves import Halves
from blocks.models.places import tie
from blocks.models.tokens import newest
from blocks.spec import Slot, Spec
from blocks.state import State

__all__ = ["EncoderDecoder"]


class EncoderDecoder(Halves):
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
        parts = {"encoder": encoder, "decoder": decoder, "source": source, "context": context}
        super().__init__(vocab=vocab, dim=dim, **parts)
        self.spec = Spec(EncoderDecoder, vocab=vocab, dim=dim, head=head, ties=ties, **parts)
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
        x, step = self.written(target, memory, memory_real, mask, state)  # B T D
        return self.head(newest(x, step.real) if last else x)  # B T V

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
