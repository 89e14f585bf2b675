"""Handwriting: a pen's next move, from its earlier ones and from what is to be written."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.embedding.onehot import OneHot
from blocks.errors import GenerationError
from blocks.heads.mixture import MixtureDensityHead
from blocks.models.places import tie
from blocks.models.tokens import check_mask, check_tokens, counted
from blocks.ops.check import check_positive
from blocks.ops.rows import Rows
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.state import State
from blocks.step import Step

__all__ = ["Handwriting"]


class Handwriting(nn.Module):
    r"""ŷ_t = head(body(x_1, …, x_t; c_1, …, c_U))

    x are moves of a pen: two offsets and 1 where it is lifted afterwards. c are characters that
    the body's attention looks at; an empty one stands behind the last, so that it shows when all
    is written. Graves, 2013, arXiv:1308.0850, sections 4 and 5; its sizes: `graves_handwriting`.

    Args:
        body: slot of size (3), recurrent layers such as a `SkipStack`, whose `width` is known.
        head: slot of size (width) whose `mixture` reads what it gives.
        vocab: characters V; None writes without a text.
        embedding: slot of sizes (vocab, vocab), of which the body's attention reads V channels.
        ties: pairs (place, source) of addresses that share one tensor or block.

    Shapes: strokes [B T 3], text [B U] int -> ŷ [B T 121] with 20 Gaussians.

    Attributes:
        spec: the Spec it was built from.

    Errors:
        GenerationError: strokes or texts of another form.

    Example:
        >>> import torch
        >>> from blocks import graves_handwriting
        >>> model = graves_handwriting(vocab=9, hidden=8)()
        >>> strokes, text = torch.zeros(1, 5, 3), torch.tensor([[2, 7, 1]])
        >>> model(strokes, text).shape, model.loss(strokes, text).shape
        (torch.Size([1, 5, 121]), torch.Size([]))
    """

    def __init__(
        self,
        *,
        body: Slot,
        head: Slot = MixtureDensityHead,
        vocab: int | None = None,
        embedding: Slot = OneHot,
        ties: tuple[tuple[str, str], ...] = (),
    ):
        super().__init__()
        check_positive("Handwriting", vocab=vocab)
        rest = {"vocab": vocab, "embedding": embedding, "ties": ties}
        self.spec = Spec(Handwriting, body=body, head=head, **rest)
        self.vocab = vocab
        self.embedding = embedding(vocab, vocab) if vocab else None
        self.body = body(3)
        self.head = head(self.body.width)
        self._wants = wants(self.body)
        tie(self, ties)

    def forward(
        self,
        strokes: Tensor,
        text: Tensor | None = None,
        mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """ŷ of the move after each one.

        Args:
            strokes: [B T 3].
            text: [B U] int, what is to be written; read by the first step of a state alone.
            mask, text_mask: [B T] and [B U] bool, True where real.
            state: the memory of the moves before.
        """
        if strokes.dim() != 3 or strokes.shape[-1] != 3 or strokes.numel() == 0:
            raise GenerationError(f"are [B T 3], not {list(strokes.shape)}", field="strokes")
        mask = check_mask(mask, strokes[..., 0])
        if state is None:
            step = Step(counted(strokes[..., 0], mask), real=mask)
        else:
            step = state.begin(len(strokes), strokes.shape[1], mask)
        step.memory, step.memory_real = self._read(text, text_mask, len(strokes))
        y = call(self.body, strokes, step, None if state is None else state.content, self._wants)
        if state is not None:
            state.end(step)
        return self.head(y)  # B T 6M+1

    def loss(
        self,
        strokes: Tensor,
        text: Tensor | None = None,
        mask: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """Mean negative log density of each move after the ones before it, from rest on."""
        mask = check_mask(mask, strokes[..., 0])
        rows = Rows.of(Step(counted(strokes[..., 0], mask), real=mask))
        before = rows.put(F.pad(rows.take(strokes), (0, 0, 1, -1)))
        found = self.head.mixture(self(before, text, mask, text_mask)).log_prob(strokes)
        return -(found.mean() if mask is None else found[mask].mean())

    def _read(
        self, text: Tensor | None, mask: Tensor | None, rows: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Characters [B U+1 V], the last of which is empty, and which of them are real."""
        if text is None:
            return None, None
        if self.embedding is None or self.vocab is None:
            raise GenerationError("this Handwriting reads no text", field="text")
        check_tokens(text, self.vocab)
        if len(text) != rows:
            raise GenerationError(f"{len(text)} texts for {rows} rows of strokes", field="text")
        mask = check_mask(mask, text)
        memory = F.pad(self.embedding(text), (0, 0, 0, 1))
        return memory, None if mask is None else F.pad(mask, (0, 1), value=True)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` rows of strokes (`room` changes nothing)."""
        return State.of(self.body, batch, room, dtype)
