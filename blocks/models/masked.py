"""MaskedLM: an encoder that tells which token stands behind a mask."""

from __future__ import annotations

import torch

from blocks.attention.marks import Marks
from blocks.embedding.token import TokenEmbedding
from blocks.heads.masked import MaskedHead
from blocks.models.encoder import Encoder
from blocks.spec import Slot

__all__ = ["MaskedLM"]


class MaskedLM(Encoder):
    r"""logits = head(norm(layer_n(… layer_1(stem(embedding(tokens))))))

    Devlin et al., "BERT", 2018, arXiv:1810.04805.

    Args:
        vocab: tokens V.
        dim: width D.
        layers, norm, embedding, stem, width, pooler, marks, ties, context: as of an `Encoder`.
        head: slot of sizes (dim, vocab).

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> logits [B T V].

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import Full, GQAttention, LayerNorm, MaskedLM, Residual, Spec
        >>> attention = Spec(GQAttention, heads=4, mask=Full())
        >>> layer = Spec(Residual, inner=attention, norm_after=LayerNorm)
        >>> MaskedLM(vocab=100, dim=16, layers=(layer,) * 2)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 100])
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
        head: Slot = MaskedHead,
        marks: Marks | None = None,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem}
        ends = {"pooler": pooler, "head": head, "marks": marks, "ties": ties, "context": context}
        super().__init__(vocab=vocab, dim=dim, width=width, **parts, **ends)

    def _made(self, head: Slot) -> torch.nn.Module:
        return head(self.dim, self.vocab)
