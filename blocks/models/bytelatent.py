"""ByteLatentLM: bytes in patches whose sizes the text decides, and depth among the patches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.heads.language import LMHead
from blocks.models.places import tie
from blocks.models.stack import Layers
from blocks.models.tokens import check_mask, check_tokens, counted, newest
from blocks.ops.check import check_positive
from blocks.ops.patches import largest, members
from blocks.ops.rows import Rows
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.state import Clock, Content, State, content_of
from blocks.step import Step

__all__ = ["ByteLatentLM"]


_NONE = 2**62  # the number of no patch


@dataclass
class Open(Content):
    """The tokens of the patch that is not whole yet, and what was said of the last that is.

    Attributes:
        x: [B L W], what is known of its tokens; those beyond its length are any.
        held: [B], its length.
        said: [B 1 k·W].
    """

    x: Tensor
    held: Tensor
    said: Tensor

    @classmethod
    def empty(cls, batch: int, width: int, wide: int, like: dict[str, Any]) -> Open:
        held = torch.zeros(batch, dtype=torch.int64, device=like["device"])
        x, said = torch.zeros(batch, 0, width, **like), torch.zeros(batch, 1, wide, **like)
        return cls(x, held, said)

    def extended(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Its tokens before new ones [B T W], and the number of each one's patch."""
        there = torch.arange(self.x.shape[1], device=x.device) < self.held[:, None]
        before = torch.zeros_like(there, dtype=own.dtype).masked_fill(~there, _NONE)
        return torch.cat([self.x, x], 1), torch.cat([before, own], 1)

    def keep(self, x: Tensor, own: Tensor, total: Tensor) -> None:
        """Holds the tokens of patch `total` [B] of these."""
        kept = own == total[:, None]
        self.held = kept.sum(1)
        order = kept.int().argsort(dim=1, descending=True, stable=True)[:, : int(self.held.max())]
        self.x = x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))


class ByteLatentLM(nn.Module):
    r"""x = encoder(tokens),   patch n(t) of token t as `patches` cuts the text

        m_n = reader(W_split max_{t: n(t) = n} x_t)                k places, which read their x_t
        y = layers(W_widen [m_n])                                  one place a patch
        logits_t = head(decoder(x)_t),       whose layers look at W_narrow y of one patch

    Token t looks at the last patch that is whole with it: the one before that of token t + 1.
    Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871.

    With a state, a token costs what it costs the encoder, the decoder and `patches`; one that ends
    a patch costs the layers as well.

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
        for name, part in (("encoder", self.encoder), ("decoder", self.decoder)):
            if not isinstance(part, Layers):
                reason = f"a {type(part).__name__} is no LayerStack"
                raise SpecError(reason, field=f"ByteLatentLM.{name}")
        self.head = head(width, vocab)
        tie(self, ties)
        self._wants = [wants(layer) for layer in self.layers]
        self._reader_wants, self._cut_wants = wants(self.reader), wants(self.patches)
        self._embed_wants = wants(self.encoder.embedding)

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
        own = step if rows.slots is None else self._fronted(tokens, rows, state)
        x = self._read(rows.take(tokens), own, None if state is None else state.content)
        if state is not None:
            state.end(step)
        x = rows.put(x)  # B T W
        return self.head(newest(x, mask) if last else x)  # B T V

    def _fronted(self, tokens: Tensor, rows: Rows, state: State | None) -> Step:
        """The step of rows whose real tokens come first."""
        place = torch.arange(tokens.shape[1], device=tokens.device)[None]
        real = rows.real(tokens.shape[1])
        if state is None:
            return Step(place, real=real)
        return Step(state.clock.next[:, None] + place, real=real, clock=state.clock)

    def _read(self, tokens: Tensor, step: Step, state: Any) -> Tensor:
        """What the decoder makes of the new tokens [B T] of each row -> [B T W]."""
        kept = {} if state is None else state
        ends = call(self.patches, tokens, step, kept.get("patches"), self._cut_wants)  # B T
        ends = ends if step.real is None else ends & step.real
        done = ends.long().cumsum(1)  # patches that are whole with each token
        x = call(self.encoder.embedding, tokens, step, kept.get("embedding"), self._embed_wants)
        x = self.encoder.layered(self.encoder.stemmed(x, step), step, kept.get("encoder"))
        y = self._deep(x, done, done - ends.long(), step.real, state)  # B N k·W
        memory = y.unflatten(-1, (self.places, -1)).flatten(1, 2)
        seen = done if state is not None else (done - 1).clamp(min=0)
        within = replace(step, memory=memory, _made={})
        within.memory_real = members(seen, y.shape[1], self.places)  # B T N·k
        return self.decoder.layered(self.decoder.stemmed(x, within), within, kept.get("decoder"))

    def _deep(
        self, x: Tensor, done: Tensor, own: Tensor, real: Tensor | None, state: Any
    ) -> Tensor:
        """What is said of each patch that is whole by now, after the last of earlier calls.

        Args:
            x: [B T W], what is known of each token.
            done: [B T], how many patches are whole with it since the last call.
            own: [B T], the number of its own patch among these.
            real: [B T], True where it counts.
            state: as of the whole model.
        """
        total = done[:, -1]  # B
        unknown = x.is_meta or torch.compiler.is_compiling()
        count = x.shape[1] if unknown else int(total.max())
        own = own if real is None else own.masked_fill(~real, _NONE)
        open = None if state is None else state["open"]
        if open is not None:
            x, own = open.extended(x, own)
            open.keep(x, own, total)
        y = x.new_zeros(len(x), 0, x.shape[-1] * self.places)
        if count:
            m = self.split(largest(x, own, count)).unflatten(-1, (self.places, -1)).flatten(1, 2)
            seen = members(own, count, self.places).transpose(1, 2)  # B N·k T
            seen = seen | ~seen.any(-1, keepdim=True)  # one without tokens is never read
            step = replace(Step.plain(m), memory=x, memory_real=seen)
            m = call(self.reader, m, step, None, self._reader_wants)
            y = m.unflatten(1, (count, -1)).flatten(2)  # B N k·W
            y = self._layered(y if self.widen is None else self.widen(y), total, state)
        if open is None:
            return y
        y = torch.cat([open.said, y], 1)
        open.said = y.gather(1, total[:, None, None].expand_as(open.said))
        return y

    def _layered(self, y: Tensor, total: Tensor, state: Any) -> Tensor:
        """Patches [B N D], of which each row has `total` [B], among all before -> [B N k·W]."""
        step, inner = Step.plain(y), None if state is None else state["layers"]
        if inner is not None:
            real = torch.arange(y.shape[1], device=y.device) < total[:, None]
            step = inner.begin(len(y), y.shape[1], None if bool(real.all()) else real)
        for i, (layer, names) in enumerate(zip(self.layers, self._wants, strict=True)):
            y = call(layer, y, step, None if inner is None else inner.content[i], names)
        if inner is not None:
            inner.end(step)
        return self.narrow(y)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` sequences of up to `room` tokens (None: it grows)."""
        first = self.split.weight
        like = {"dtype": dtype or first.dtype, "device": first.device}
        parts = {"embedding": self.encoder.embedding, "encoder": self.encoder.layers}
        parts |= {"decoder": self.decoder.layers, "patches": self.patches}
        content = {name: content_of(part, batch, room, **like) for name, part in parts.items()}
        layers = content_of(self.layers, batch, room, **like)
        content["layers"] = State(Clock(batch, room, first.device), layers)
        content["open"] = Open.empty(batch, first.shape[1], first.shape[0], like)
        return State(Clock(batch, room, first.device), content)
