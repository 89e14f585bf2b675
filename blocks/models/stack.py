"""LayerStack: layers over an embedding, the half of a model that turns tokens into vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.embedding.token import TokenEmbedding
from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.state import content_of, leaves, part_of
from blocks.step import Step

__all__ = ["LayerStack"]


class Layers(nn.Module):
    """What all assemblies of layers over an embedding are; `LayerStack` has the equation."""

    def __init__(
        self,
        inputs: int,
        dim: int,
        *,
        layers: tuple[Slot, ...],
        norm: Slot | None = None,
        embedding: Slot | None = TokenEmbedding,
        stem: Slot | None = None,
        width: int | None = None,
    ):
        super().__init__()
        check_positive(type(self).__name__, inputs=inputs, dim=dim, width=width)
        if not layers or isinstance(layers, Spec):
            reason = "a model needs at least one layer" + (", in a tuple" if layers else "")
            raise SpecError(reason, field=f"{type(self).__name__}.layers")
        self.inputs, self.dim = inputs, dim
        if embedding is None and inputs != (width or dim):
            reason = f"vectors of {inputs} channels are not {width or dim} wide"
            raise SpecError(reason, field=f"{type(self).__name__}.embedding")
        self.embedding: Any = embedding(inputs, width or dim) if embedding else None
        self.stem = stem(width or dim) if stem else None
        self.widen = nn.Linear(width, dim) if width else None
        self.layers = nn.ModuleList([layer(dim) for layer in layers])
        self.norm = norm(dim) if norm else None
        self._wants = [wants(layer) for layer in self.layers]
        self._stem_wants = wants(self.stem) if self.stem else frozenset()
        self._embed_wants = wants(self.embedding) if self.embedding else frozenset()

    def read(self, inputs: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        """All of it, from the inputs to the last norm."""
        return self.layered(*self.embedded(inputs, step), state)

    def embedded(self, inputs: Tensor, step: Step | None = None) -> tuple[Tensor, Step]:
        """What the first layer reads, and the step of it."""
        x = inputs if self.embedding is None else self.vectors(inputs, step)  # B T D
        step = Step.plain(x) if step is None else self.shrunk(step)
        return self.stemmed(x, step), step

    def vectors(self, inputs: Tensor, step: Step | None) -> Tensor:
        """What the embedding makes of the inputs, which may ask for the step or what is real."""
        if step is not None and "real" in self._embed_wants:
            return self.embedding(inputs, step.real)  # B T D
        return call(self.embedding, inputs, step, None, self._embed_wants)  # B T D

    def stemmed(self, x: Tensor, step: Step) -> Tensor:
        """What lies between the embedding and the first layer."""
        if self.stem is not None:
            x = call(self.stem, x, step, None, self._stem_wants)
        return x if self.widen is None else self.widen(x)

    def layered(self, x: Tensor, step: Step, state: Any = None) -> Tensor:
        """What the layers and the last norm make of it."""
        for i, layer in enumerate(self.layers):
            memory = part_of(state, i, len(self._wants))
            x = call(layer, x, step, memory, self._wants[i])  # B T D
        return x if self.norm is None else self.norm(x)

    def check_memory(self) -> None:
        """Refuses an embedding or stem that remembers tokens: only layers have a state."""
        for name in ("embedding", "stem"):
            part = getattr(self, name)
            if part is not None and any(leaves(content_of(part, 1, 1, torch.float32, None))):
                reason = f"a {type(part).__name__} remembers tokens, and only layers have a state"
                raise GenerationError(reason, field=f"{type(self).__name__}.{name}")

    def told(self, step: Step) -> Tensor | None:
        """[B M], which places of what comes out are real; None where all are."""
        return self.shrunk(step).real

    def shrunk(self, step: Step) -> Step:
        """The step of what the embedding gives: another one where its strides leave less."""
        after = getattr(self.embedding, "shrunk", None)
        return step if after is None else after(step)


class LayerStack(Layers):
    r"""y = norm(layer_n(… layer_1(W stem(embedding(inputs)))))

    Args:
        inputs: tokens of the vocabulary, or channels of a frame.
        dim: width D.
        layers: one slot of size (dim) a layer.
        norm: the norm after the last layer.
        embedding: slot of sizes (inputs, dim), or (inputs, width) where there is one; None where
            the inputs are vectors as they are.
        stem: what follows the embedding: positions, a norm.
        width: of embedding and stem, where W widens it to D (ELECTRA); None is D, without W.

    Shapes: tokens [B T] int, or frames [B T C] -> [B T D].

    Errors:
        SpecError: parts that don't fit.

    Example:
        >>> import torch
        >>> from blocks import Full, GQAttention, LayerStack, Residual, RMSNorm, Spec
        >>> attention = Spec(GQAttention, heads=4, mask=Full())
        >>> layer = Spec(Residual, inner=attention, norm_in=RMSNorm)
        >>> stack = LayerStack(100, 16, layers=(layer,) * 2)
        >>> stack(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 16])
    """

    def __init__(
        self,
        inputs: int,
        dim: int,
        *,
        layers: tuple[Slot, ...],
        norm: Slot | None = None,
        embedding: Slot | None = TokenEmbedding,
        stem: Slot | None = None,
        width: int | None = None,
    ):
        parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem}
        super().__init__(inputs, dim, **parts, width=width)

    def forward(self, inputs: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return self.read(inputs, step, state)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        self.check_memory()
        return content_of(self.layers, batch, room, dtype, device)
