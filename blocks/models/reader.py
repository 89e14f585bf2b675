"""SourceReader: an encoder and a decoder that read one text, and what is made of it."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.errors import GenerationError, SpecError
from blocks.models.halves import Halves
from blocks.models.places import tie
from blocks.models.shift import ShiftRight
from blocks.models.tokens import check_mask
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["SourceReader"]


class SourceReader(Halves):
    r"""answer = head(decoder(shift(tokens), encoder(tokens)))

    What an `EncoderDecoder` becomes whose task is to tell something of a text instead of writing
    another one: it is called as an `Encoder` is. Lewis et al., "BART", 2019, arXiv:1910.13461,
    section 3.

    Args:
        vocab, dim, encoder, decoder, source, ties, context: as of an `EncoderDecoder`.
        head: slot of size (dim) for a task, such as `SequenceHead`; None gives the decoder's
            states.
        shift: what makes the target of the tokens where a call names none; None: every call does.
        end: the token that ends a text: what the head is told to read ends with the last of them.
            None: it reads all.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T D], or what the head gives.

    Attributes:
        spec: the Spec it was built from.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape, a
            text without its end.

    Example:
        >>> import torch
        >>> from blocks import Chain, CrossAttention, Full, GQAttention, LayerStack, Residual
        >>> from blocks import SequenceHead, ShiftRight, SourceReader, Spec
        >>> reads = Spec(Residual, inner=Spec(GQAttention, heads=4, mask=Full()))
        >>> writes = Spec(Chain, steps={
        ...     "attention": Spec(Residual, inner=Spec(GQAttention, heads=4)),
        ...     "cross": Spec(Residual, inner=Spec(CrossAttention, heads=4)),
        ... })
        >>> model = SourceReader(vocab=100, dim=16, encoder=Spec(LayerStack, layers=(reads,)),
        ...                      decoder=Spec(LayerStack, layers=(writes,)), shift=ShiftRight(2),
        ...                      head=Spec(SequenceHead, labels=3, pool="last"), end=2)
        >>> model(torch.tensor([[5, 6, 7, 2]])).shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        encoder: Slot,
        decoder: Slot,
        head: Slot | None = None,
        shift: ShiftRight | None = None,
        end: int | None = None,
        source: int | None = None,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "source": source, "context": context}
        super().__init__(vocab=vocab, dim=dim, **parts)
        rest = {"head": head, "shift": shift, "end": end, "ties": ties}
        self.spec = Spec(SourceReader, vocab=vocab, dim=dim, **parts, **rest)
        self.shift, self.end = shift, end
        said = {"shift.start": (shift and shift.start, vocab), "end": (end, self.source)}
        for name, (token, known) in said.items():
            if token is not None and not 0 <= token < known:
                reason = f"token {token} is not in the vocabulary 0 … {known - 1}"
                raise SpecError(reason, field=f"SourceReader.{name}")
        if self.frames and (shift or end is not None):
            raise SpecError("frames are no tokens", field="SourceReader.shift")
        self.head = head(dim) if head else None
        self._head_wants = wants(self.head) if self.head else frozenset()
        tie(self, ties)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        target: Tensor | None = None,
        target_mask: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The head's answer, or the decoder's states where there is no head.

        Args:
            tokens: [B M] int, or frames [B M C].
            mask: [B M] bool, True where real.
            target: [B T] int, what the decoder reads; by default what `shift` makes of the tokens,
                with their mask.
            target_mask: [B T] bool, True where a token of such a target is real.
            global_mask: [B M] bool, True where a token of the source sees all and is seen by all,
                in layers with a window (Longformer).
        """
        memory, real = self.encode(tokens, mask, global_mask=global_mask)
        if target is None:
            if self.shift is None or target_mask is not None:
                known = "a mask, but no target" if self.shift else "no target"
                raise GenerationError(known, field="target", hint="model(tokens, target=...)")
            mask = check_mask(mask, tokens)
            target, target_mask = self.shift(tokens, mask), mask
        x, step = self.written(target, memory, real, target_mask)  # B T D
        if self.head is None:
            return x
        step = step if self.end is None else self._ended(tokens, mask, step)
        return call(self.head, x, step, None, self._head_wants)

    def _ended(self, tokens: Tensor, mask: Tensor | None, step: Step) -> Step:
        """The step in which all is padding that stands behind the last end of its text."""
        if tokens.shape[1] != step.positions.shape[1]:
            raise GenerationError(
                f"{tokens.shape[1]} tokens don't tell where one of {step.positions.shape[1]} ends",
                field="target",
            )
        mask = check_mask(mask, tokens)
        ends = tokens == self.end if mask is None else mask & (tokens == self.end)
        if not (tokens.is_meta or torch.compiler.is_compiling() or bool(ends.any(1).all())):
            reason = f"a text without token {self.end}, with which it would end"
            raise GenerationError(reason, field="tokens", hint="the tokenizer sets it there")
        real = ends.flip(1).cumsum(1).flip(1) > 0
        return Step(step.positions, real=real if mask is None else real & mask)
