"""FrameEncoder: layers that hear frames of sound, and a head that names what each holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks.conv.stem import ConvStem
from blocks.heads.language import LMHead
from blocks.models.places import tie
from blocks.models.stack import Layers
from blocks.models.tokens import check_frames, check_mask
from blocks.ops.check import check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["FrameEncoder"]


class FrameEncoder(Layers):
    r"""answer = head(norm(layer_n(… layer_1(positions(W stem(embedding(frames)))))))

    With a vocabulary it is trained so that the tokens of its places, without repetitions and
    blanks, are what was said (CTC: Graves et al., 2006): `transcribe` reads them so.

    Args:
        channels: of a frame, C; 1 for samples.
        vocab: tokens V, the blank among them; None where no tokens are named.
        dim: width D.
        layers: one slot of size (dim) a layer, with masks that look both ways: `Full()`.
        norm: the norm after the last layer.
        embedding: slot of sizes (channels, dim), or (channels, width) where there is one.
        stem: what follows the embedding.
        width: of embedding and stem, where W widens it to D; None is D, without W.
        positions: what follows W before the first layer, slot of size (dim).
        mix: slot of size (depth) that makes one state of those of all layers, before the norm:
            `LayerMix`; None takes the last.
        head: slot of sizes (dim, vocab), or of size (dim) without a vocabulary; None gives hidden
            states.
        ties: pairs (place, source) of addresses that share one tensor or block.

    Shapes: frames [B T C], real [B T] bool (padding at the end) -> [B T' V], or
    what the head gives; T' is less than T where the embedding has strides.

    Attributes:
        spec: the Spec it was built from.
        frames: True, since it hears.

    Errors:
        SpecError: parts that don't fit.
        GenerationError: frames of another shape, or too few.

    Example:
        >>> import torch
        >>> from blocks import ConvModule, FrameEncoder, Residual, Spec
        >>> layer = Spec(Residual, inner=Spec(ConvModule, kernel=3))
        >>> model = FrameEncoder(channels=80, vocab=30, dim=16, layers=(layer,))
        >>> model(torch.randn(1, 100, 80)).shape
        torch.Size([1, 50, 30])
    """

    frames = True

    def __init__(
        self,
        *,
        channels: int,
        vocab: int | None = None,
        dim: int,
        layers: tuple[Slot, ...],
        norm: Slot | None = None,
        embedding: Slot = ConvStem,
        stem: Slot | None = None,
        width: int | None = None,
        positions: Slot | None = None,
        mix: Slot | None = None,
        head: Slot | None = Spec(LMHead),  # frozen
        ties: tuple[tuple[str, str], ...] = (),
    ):
        parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem}
        check_positive("FrameEncoder", channels=channels, vocab=vocab)
        super().__init__(channels, dim, **parts, width=width)
        sizes = {"channels": channels, "vocab": vocab, "dim": dim, "width": width}
        rest = {"positions": positions, "mix": mix, "head": head, "ties": ties}
        self.spec = Spec(FrameEncoder, **sizes, **parts, **rest)
        self.channels, self.vocab = channels, vocab
        self.positions = positions(dim) if positions else None
        self._positions_wants = wants(self.positions) if self.positions else frozenset()
        self.mix = mix(len(layers)) if mix else None
        self.head = head(*((dim, vocab) if vocab else (dim,))) if head else None
        self._head_wants = wants(self.head) if self.head else frozenset()
        tie(self, ties)

    def forward(self, frames: Tensor, real: Tensor | None = None) -> Tensor:
        """Logits of what each place holds, what another head gives, or hidden states.

        Args:
            frames: [B T C].
            real: [B T] bool, True where a frame is no padding.
        """
        step = self._step(frames, real)
        x, step = self.embedded(frames, step)  # B T' D
        if self.positions is not None:
            x = call(self.positions, x, step, None, self._positions_wants)
        x = self.layered(x, step)  # B T' D
        return x if self.head is None else call(self.head, x, step, None, self._head_wants)

    def layered(self, x: Tensor, step: Step, state: Any = None) -> Tensor:
        """What the layers, the mix of their states and the last norm make of it."""
        if self.mix is None:
            return super().layered(x, step, state)
        states = [x]
        for layer, names in zip(self.layers, self._wants, strict=True):
            states.append(call(layer, states[-1], step, None, names))
        x = self.mix(torch.stack(states, 1))  # B T' D
        return x if self.norm is None else self.norm(x)

    def heard(self, frames: Tensor, real: Tensor | None = None) -> Tensor | None:
        """[B T'] which places of the answer are real; None where all are."""
        return self.shrunk(self._step(frames, real)).real

    def _step(self, frames: Tensor, real: Tensor | None) -> Step:
        check_frames(frames, self.channels)
        real = check_mask(real, frames[..., 0])
        return Step(torch.arange(frames.shape[1], device=frames.device)[None], real=real)
