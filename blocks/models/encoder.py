"""Encoder: layers that read in both directions, and what is made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.attention.marks import Marks
from blocks.embedding.token import TokenEmbedding
from blocks.errors import GenerationError
from blocks.models.places import tie
from blocks.models.stack import Layers
from blocks.models.tokens import check_marks, check_mask, check_tokens, counted
from blocks.ops.check import check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["Encoder"]


class Encoder(Layers):
    r"""hidden = norm(layer_n(… layer_1(stem(embedding(tokens))))),      answer = head(hidden)

    Args:
        vocab: tokens V.
        dim: width D.
        layers: one slot of size (dim) a layer, with masks that look both ways: `Full()`.
        norm: the norm after the last layer.
        embedding: slot of sizes (vocab, dim).
        stem: what follows the embedding before the first layer: positions, types, a norm.
        width: of embedding and stem, where a projection widens them to D.
        pooler: slot of size (dim) that makes one vector of a text, for `pool`.
        head: slot of size (dim) for a task, such as `SequenceHead`; None gives hidden states.
        marks: which tokens see all where a call doesn't say, such as `FirstToken()`.
        ties: pairs (place, source) of addresses that share one tensor or block.
        context: how many tokens the model was made for; None where there is no such bound.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T D], or what the head gives.

    Attributes:
        spec: the Spec it was built from.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import Encoder, Full, GQAttention, LayerNorm, Residual, Spec
        >>> attention = Spec(GQAttention, heads=4, mask=Full())
        >>> layer = Spec(Residual, inner=attention, norm_after=LayerNorm)
        >>> Encoder(vocab=100, dim=16, layers=(layer,) * 2)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 16])
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        layers: tuple[Slot, ...],
        norm: Slot | None = None,
        embedding: Slot = TokenEmbedding,
        stem: Slot | None = None,
        width: int | None = None,
        pooler: Slot | None = None,
        head: Slot | None = None,
        marks: Marks | None = None,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem}
        check_positive(type(self).__name__, vocab=vocab, context=context)
        super().__init__(vocab, dim, **parts, width=width)
        rest = {"pooler": pooler, "head": head, "marks": marks, "ties": ties, "context": context}
        self.spec = Spec(type(self), vocab=vocab, dim=dim, width=width, **parts, **rest)
        self.vocab, self.context, self.marks = vocab, context, marks
        self.pooler = pooler(dim) if pooler else None
        self.head = self._made(head) if head else None
        tie(self, ties)
        self._pooler_wants = wants(self.pooler) if self.pooler else frozenset()
        self._head_wants = wants(self.head) if self.head else frozenset()

    def _made(self, head: Slot) -> torch.nn.Module:
        return head(self.dim)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The head's answer, or hidden states where there is no head.

        Args:
            tokens: [B T] int.
            mask: [B T] bool, True where a token is real.
            types: [B T] int, which text of a pair a token belongs to; 0 by default.
            global_mask: [B T] bool, True where a token sees all and is seen by all, in layers
                with a window (Longformer); what `marks` finds by default.
        """
        step = self._step(tokens, mask, types, global_mask)
        x = self.read(tokens, step)  # B T D
        return x if self.head is None else call(self.head, x, step, None, self._head_wants)

    def hidden(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The hidden states [B T D] that the head reads."""
        return self.read(tokens, self._step(tokens, mask, types, global_mask))

    def pool(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The pooler's vector [B D] of each text.

        Errors:
            GenerationError: the model has no pooler.
        """
        if self.pooler is None:
            raise GenerationError("this model has no pooler", field="pooler")
        step = self._step(tokens, mask, types, global_mask)
        x = self.read(tokens, step)  # B T D
        return call(self.pooler, x, step, None, self._pooler_wants)

    def _step(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        types: Tensor | None,
        global_mask: Tensor | None,
    ) -> Step:
        check_tokens(tokens, self.vocab)
        mask = check_mask(mask, tokens)
        if types is not None and types.shape != tokens.shape:
            raise GenerationError(
                f"types are {list(types.shape)}, the tokens are {list(tokens.shape)}",
                field="types",
            )
        marks = check_marks(global_mask, tokens)
        if marks is None and self.marks is not None:
            marks = self.marks(tokens, mask)
        positions = counted(tokens, mask)
        return Step(positions, real=mask, types=types, global_mask=marks)
