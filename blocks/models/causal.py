"""CausalLM: a stack of layers that predicts the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.embedding.token import TokenEmbedding
from blocks.errors import GenerationError
from blocks.heads.language import LMHead
from blocks.models.places import tie
from blocks.models.stack import Layers
from blocks.models.tokens import check_mask, check_segments, check_tokens, counted, newest
from blocks.ops.check import check_positive
from blocks.spec import Slot, Spec
from blocks.state import State
from blocks.step import Step

__all__ = ["CausalLM"]


class CausalLM(Layers):
    r"""logits = head(norm(layer_n(… layer_1(stem(embedding(tokens))))))

    Args:
        vocab: tokens V.
        dim: width D.
        layers: one slot of size (dim) a layer.
        norm: the norm after the last layer; None where a model has none.
        embedding: slot of sizes (vocab, dim).
        media: slot of size (dim) of what puts images or sounds in the places of their tokens:
            `MediaTokens`.
        stem: what follows the embedding before the first layer, positions for instance.
        head: slot of sizes (dim, vocab).
        ties: pairs (place, source) of addresses that share one tensor or block, such as
            `(("head.weight", "embedding.weight"),)`.
        context: how many tokens the model was made for; None where there is no such bound.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> logits [B T V].

    Attributes:
        spec: the Spec it was built from.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import CausalLM, Chain, GatedMLP, GQAttention, Residual, RMSNorm, Spec
        >>> layer = Spec(Chain, steps={
        ...     "attention": Spec(Residual, inner=Spec(GQAttention, heads=4), norm_in=RMSNorm),
        ...     "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=32), norm_in=RMSNorm),
        ... })
        >>> model = CausalLM(vocab=100, dim=16, layers=(layer,) * 2, norm=RMSNorm)
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 100])
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        layers: tuple[Slot, ...],
        norm: Slot | None,
        embedding: Slot = TokenEmbedding,
        media: Slot | None = None,
        stem: Slot | None = None,
        head: Slot = LMHead,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        check_positive("CausalLM", vocab=vocab, dim=dim, context=context)
        super().__init__(vocab, dim, layers=layers, norm=norm, embedding=embedding, stem=stem)
        self.spec = Spec(
            CausalLM,
            vocab=vocab,
            dim=dim,
            layers=layers,
            norm=norm,
            embedding=embedding,
            media=media,
            stem=stem,
            head=head,
            ties=ties,
            context=context,
        )
        self.vocab, self.context = vocab, context
        self.media = media(dim) if media else None
        self.head = head(dim, vocab)
        tie(self, ties)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        media: Tensor | None = None,
        segments: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """Logits of the token after each one.

        Args:
            tokens: [B T] int.
            mask: [B T] bool, True where a token is real.
            state: what was seen before; it is extended by these tokens.
            media: what stands in the places of the placeholders among these tokens; without it
                they are tokens like others.
            segments: [B T] int, several documents packed into one row: no token sees another
                document, and positions start anew in each.
            last: give the logits after each row's last real token alone, [B 1 V].
        """
        x = self.hidden(tokens, mask, state, media=media, segments=segments)  # B T D
        if last:
            x = newest(x, check_mask(mask, tokens))
        return self.head(x)  # B T V

    def hidden(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        media: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """What the head reads [B T D], from what `forward` reads."""
        check_tokens(tokens, self.vocab)
        mask = check_mask(mask, tokens)
        step = self._step(tokens, mask, state, segments)
        x = self.vectors(tokens, step)  # B T D
        if media is not None:
            if self.media is None:
                raise GenerationError("this CausalLM reads tokens alone", field="media")
            real = tokens if mask is None else tokens.masked_fill(~mask, -1)
            x = self.media(x, real, media)
        x = self.layered(self.stemmed(x, step), step, None if state is None else state.content)
        if state is not None:
            state.end(step)
        return x

    def _step(
        self, tokens: Tensor, mask: Tensor | None, state: State | None, segments: Tensor | None
    ) -> Step:
        if state is not None:
            if not isinstance(state, State):
                reason = f"is a {type(state).__name__}, not what init_state gives"
                raise GenerationError(reason, field="state")
            if segments is not None:
                raise GenerationError("packed segments and a state exclude each other")
            return state.begin(tokens.shape[0], tokens.shape[1], mask)
        if segments is not None:
            check_segments(segments, tokens)
            start = torch.ones_like(segments, dtype=torch.bool)
            start[:, 1:] = segments[:, 1:] != segments[:, :-1]
            real = torch.ones_like(start) if mask is None else mask
            count = real.cumsum(1)
            before = torch.where(start, count - real.long(), 0).cummax(1).values
            positions = (count - before - 1).clamp(min=0)
            return Step(positions, real=mask, segments=segments)
        return Step(counted(tokens, mask), real=mask)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` sequences of up to `room` tokens (None: it grows)."""
        self.check_memory()
        return State.of(self.layers, batch, room, dtype)
