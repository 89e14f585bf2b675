"""CharacterEncoder: an encoder of characters whose depth lies in a shorter sequence."""

from __future__ import annotations

from torch import Tensor

from blocks.conv.molecules import Molecules
from blocks.errors import GenerationError, SpecError
from blocks.heads.sequence import SequenceHead
from blocks.models.encoder import Encoder
from blocks.ops.wants import call, wants
from blocks.step import Step

__all__ = ["CharacterEncoder"]


class CharacterEncoder(Encoder):
    r"""hidden = layer_n(… layer_1(stem(embedding(tokens)))), and one of the layers is `Molecules`

    The pooler and a `SequenceHead` read the molecules, which know the text as a whole, all other
    heads the characters. Clark et al., "CANINE", 2021, arXiv:2103.06874. Its arguments are those of
    an `Encoder`.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T D], or what the head gives.

    Errors:
        SpecError: parts that don't fit, or not one `Molecules` among the layers.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import CharacterEncoder, HashedEmbedding, MLP, Molecules, Pooler, Spec
        >>> layers = (Spec(Molecules, layers=(Spec(MLP, hidden=16),)),)
        >>> parts = {"embedding": Spec(HashedEmbedding, buckets=50), "pooler": Spec(Pooler)}
        >>> model = CharacterEncoder(vocab=0x110000, dim=8, layers=layers, **parts)
        >>> tokens = torch.tensor([[ord(letter) for letter in "naïve"]])
        >>> model(tokens).shape, model.pool(tokens).shape
        (torch.Size([1, 5, 8]), torch.Size([1, 8]))
    """

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
        return call(self.head, x, step, None, wants(self.head))

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
        return call(self.pooler, deep, inner, None, wants(self.pooler))

    def _both(self, tokens: Tensor, step: Step) -> tuple[Tensor, Tensor, Step]:
        """Characters [B T D], molecules [B M D], and the step that these are in."""
        x = self.embedding(tokens)  # B T D
        if self.stem is not None:
            x = call(self.stem, x, step, None, wants(self.stem))
        x = x if self.widen is None else self.widen(x)
        found: list[tuple[Tensor, Step]] = []
        for layer in self.layers:
            if isinstance(layer, Molecules):
                found.append(layer.deep(x, step))
                x = layer.back(x, *found[-1], step)
            else:
                x = call(layer, x, step, None, wants(layer))
        if len(found) != 1:
            reason = f"{len(found)} of them are Molecules, not one"
            raise SpecError(reason, field="CharacterEncoder.layers")
        return x if self.norm is None else self.norm(x), *found[0]
