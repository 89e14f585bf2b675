"""ByteLatentLM: bytes in patches whose sizes the text decides, and depth among the patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blocks.heads.language import LMHead
from blocks.models.places import tie
from blocks.models.stages import joined
from blocks.models.tokens import check_mask, check_tokens, counted, newest
from blocks.ops.check import check_positive
from blocks.ops.patches import largest, members
from blocks.ops.rows import Rows
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.state import Clock, Content, State
from blocks.step import Step

__all__ = ["ByteLatentLM"]


@dataclass
class Heard(Content):
    """The tokens of each row [B S], the first one first, as many as its clock says."""

    tokens: Tensor
    trims = True


class ByteLatentLM(nn.Module):
    r"""x = encoder(tokens),   patch n(t) of token t as `patches` cuts the text

        m_n = reader(W_split max_{t: n(t) = n} x_t)                k places, which read their x_t
        y = layers(W_widen [m_n])                                  one place a patch
        logits_t = head(decoder(x)_t),       whose layers look at W_narrow y of one patch

    Token t looks at the last patch that is whole with it: the one before the patch of t + 1.
    Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871.

    With a state, the tokens are remembered and all is computed anew: where the patches lie is
    known from the text alone, and which of them are whole changes with each token.

    Args:
        vocab: tokens V, bytes and some more.
        dim: width D among the patches.
        width: width W among the tokens.
        encoder: slot of sizes (vocab, width), a `LayerStack`.
        layers: one slot of size (dim) a layer of the patches.
        decoder: slot of sizes (width, width), a `LayerStack` without an embedding, whose layers
            hold a `CrossAttention`.
        patches: slot of no sizes, what cuts the text: `EqualPatches`, `EntropyPatches`.
        reader: slot of size (width) that reads a patch's tokens: a `CrossAttention`.
        places: how many places k of width W a patch has.
        head: slot of sizes (width, vocab).
        ties, context: as of a `CausalLM`.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T V].

    Errors:
        SpecError: parts that don't fit.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import (
        ...     ByteLatentLM, CrossAttention, EqualPatches, GQAttention, LayerStack, Residual, Spec
        ... )
        >>> layer = Spec(Residual, inner=Spec(GQAttention, heads=2))
        >>> cross = Spec(Residual, inner=Spec(CrossAttention, heads=2))
        >>> ends = {"encoder": Spec(LayerStack, layers=(layer,)),
        ...         "decoder": Spec(LayerStack, layers=(cross, layer), embedding=None)}
        >>> patches = Spec(EqualPatches, size=4)
        >>> model = ByteLatentLM(
        ...     vocab=260, dim=16, width=8, layers=(layer,), reader=cross, patches=patches, **ends
        ... )
        >>> model(torch.tensor([list(b"bytes")])).shape
        torch.Size([1, 5, 260])
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        width: int,
        encoder: Slot,
        layers: tuple[Slot, ...],
        decoder: Slot,
        patches: Slot,
        reader: Slot,
        places: int = 2,
        head: Slot = LMHead,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        super().__init__()
        sizes = {"vocab": vocab, "dim": dim, "width": width, "places": places, "context": context}
        check_positive("ByteLatentLM", **sizes)
        parts = {"encoder": encoder, "layers": layers, "decoder": decoder, "patches": patches}
        parts |= {"reader": reader, "head": head}
        self.spec = Spec(ByteLatentLM, **sizes, **parts, ties=ties)
        self.vocab, self.places, self.context = vocab, places, context
        self.encoder = encoder(vocab, width)
        self.patches = patches()
        self.split = nn.Linear(width, width * places, bias=False)
        self.reader = reader(width)
        self.widen = nn.Linear(width * places, dim, bias=False) if width * places != dim else None
        self.layers = nn.ModuleList([layer(dim) for layer in layers])
        self.narrow = nn.Linear(dim, width * places, bias=False)
        self.decoder = decoder(width, width)
        self.head = head(width, vocab)
        tie(self, ties)
        self._wants = [wants(layer) for layer in self.layers]
        self._reader_wants = wants(self.reader)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        last: bool = False,
    ) -> Tensor:
        """Logits of the token after each one; arguments as of a `CausalLM`."""
        check_tokens(tokens, self.vocab)
        mask = check_mask(mask, tokens)
        if state is None:
            step = Step(counted(tokens, mask), real=mask)
        else:
            step = state.begin(len(tokens), tokens.shape[1], mask)
        rows = Rows.of(step)
        new = rows.take(tokens)
        if state is None:
            x = self._read(new)
        else:
            before = state.clock.next  # B
            text = joined(state.content.tokens, before, new, int(step.length.max()))
            place = before[:, None] + torch.arange(new.shape[1], device=new.device)
            x = self._read(text)
            place = place.clamp(max=x.shape[1] - 1)  # behind a row's last token
            x = x.gather(1, place[..., None].expand(-1, -1, x.shape[-1]))
            state.content.tokens = text
            state.end(step)
        x = rows.put(x)  # B T W
        return self.head(newest(x, mask) if last else x)  # B T V

    def _read(self, tokens: Tensor) -> Tensor:
        """What the decoder makes of whole texts [B T] -> [B T W]; padding follows what is real."""
        begins = self.patches(tokens)  # B T+1
        number = begins.long().cumsum(1) - 1
        own, whole = number[:, :-1], number[:, 1:] - 1  # B T each
        unknown = tokens.is_meta or torch.compiler.is_compiling()
        count = tokens.shape[1] if unknown else int(whole.max()) + 1
        x = self.encoder(tokens)  # B T W
        m = self.split(largest(x, own, count)).unflatten(-1, (self.places, -1)).flatten(1, 2)
        step = Step(torch.arange(m.shape[1], device=x.device)[None], memory=x)
        seen = members(own, count, self.places).transpose(1, 2)  # B N·k T
        step.memory_real = seen | ~seen.any(-1, keepdim=True)  # one without tokens is never read
        m = call(self.reader, m, step, None, self._reader_wants).unflatten(1, (count, -1))
        y = m.flatten(2) if self.widen is None else self.widen(m.flatten(2))  # B N D
        step = Step.plain(y)
        for layer, names in zip(self.layers, self._wants, strict=True):
            y = call(layer, y, step, None, names)
        step = Step.plain(x)
        step.memory = self.narrow(y).unflatten(-1, (self.places, -1)).flatten(1, 2)  # B N·k W
        step.memory_real = members(whole, count, self.places)  # B T N·k
        return self.decoder(x, step)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` sequences of up to `room` tokens (None: it grows)."""
        device = next(self.parameters()).device
        tokens = torch.zeros(batch, 0, dtype=torch.int64, device=device)
        return State(Clock(batch, room, device), Heard(tokens))
