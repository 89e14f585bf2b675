"""CharacterEncoder: an encoder of characters whose depth lies in a shorter sequence."""

from __future__ import annotations

from torch import Tensor

from blocks.attention.marks import Marks
from blocks.conv.molecules import Molecules
from blocks.edit import replace
from blocks.embedding.hashed import HashedEmbedding
from blocks.errors import GenerationError
from blocks.heads.sequence import SequenceHead
from blocks.models.encoder import Encoder
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["CharacterEncoder"]


class CharacterEncoder(Encoder):
    r"""m, x = down(local(stem(embedding(tokens)))),   hidden = final(up(x, layer_n(… layer_1(m))))

    The pooler and a `SequenceHead` read the molecules, which know the text as a whole, all other
    heads the characters. Clark et al., "CANINE", 2021, arXiv:2103.06874.

    Args:
        vocab: tokens V: code points.
        dim: width D.
        layers: one slot of size (dim) a layer of the molecules.
        local, final: slots of size (dim), the layers of characters before and after those.
        molecules: slot of size (dim) that goes down to the molecules and up again.
        norm, embedding, stem, width, pooler, head, marks, ties, context: as of an `Encoder`.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T D], or what the head gives.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import CharacterEncoder, MLP, Pooler, Spec
        >>> mlp = Spec(MLP, hidden=16)
        >>> parts = {"local": mlp, "final": mlp, "layers": (mlp, mlp), "pooler": Pooler}
        >>> model = CharacterEncoder(vocab=0x110000, dim=8, **parts)
        >>> tokens = torch.tensor([[ord(letter) for letter in "naïve"]])
        >>> model(tokens).shape, model.pool(tokens).shape
        (torch.Size([1, 5, 8]), torch.Size([1, 8]))
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        layers: tuple[Slot, ...],
        local: Slot | None = None,
        molecules: Slot = Molecules,
        final: Slot | None = None,
        norm: Slot | None = None,
        embedding: Slot = HashedEmbedding,
        stem: Slot | None = None,
        width: int | None = None,
        pooler: Slot | None = None,
        head: Slot | None = None,
        marks: Marks | None = None,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem}
        ends = {"pooler": pooler, "head": head, "marks": marks, "ties": ties, "context": context}
        super().__init__(vocab=vocab, dim=dim, width=width, **parts, **ends)
        self.local = local(dim) if local else None
        self.molecules = molecules(dim)
        self.final = final(dim) if final else None
        both = (self.local, self.final)
        self._ends_want = [wants(part) if part else frozenset() for part in both]
        self.spec = replace(self.spec, local=local, molecules=molecules, final=final)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The head's answer, or the characters' hidden states where there is no head.

        Args:
            tokens: [B T] int.
            mask: [B T] bool, True where a token is real.
            types: [B T] int, which text of a pair a token belongs to; 0 by default.
            global_mask: as in an `Encoder`.
        """
        step = self._step(tokens, mask, types, global_mask)
        x, deep, inner = self._both(tokens, step)
        if self.head is None:
            return x
        if isinstance(self.head, SequenceHead):
            return self.head(deep, inner)
        return call(self.head, x, step, None, self._head_wants)

    def hidden(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The characters' hidden states [B T D]."""
        return self._both(tokens, self._step(tokens, mask, types, global_mask))[0]

    def pool(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        types: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The pooler's vector [B D] of each text, from its molecules.

        Errors:
            GenerationError: the model has no pooler.
        """
        if self.pooler is None:
            raise GenerationError("this model has no pooler", field="pooler")
        _, deep, inner = self._both(tokens, self._step(tokens, mask, types, global_mask))
        return call(self.pooler, deep, inner, None, self._pooler_wants)

    def _both(self, tokens: Tensor, step: Step) -> tuple[Tensor, Tensor, Step]:
        """Characters [B T D], molecules [B M D], and the step that these are in."""
        x, step = self.embedded(tokens, step)  # B T D
        near, far = self._ends_want
        x = x if self.local is None else call(self.local, x, step, None, near)
        m, inner = self.molecules.down(x, step)  # B M D
        for layer, names in zip(self.layers, self._wants, strict=True):
            m = call(layer, m, inner, None, names)
        x = self.molecules.up(x, m, step)
        x = x if self.final is None else call(self.final, x, step, None, far)
        return x if self.norm is None else self.norm(x), m, inner
