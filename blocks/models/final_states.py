"""FinalStates: an encoder that hands on what its layers remember, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from blocks.embedding.token import TokenEmbedding
from blocks.errors import SpecError
from blocks.models.stack import Layers
from blocks.ops.rows import Rows
from blocks.spec import Slot
from blocks.state import content_of, leaves
from blocks.step import Step

__all__ = ["FinalStates"]


class FinalStates(Layers):
    r"""m = [state_1, …, state_n], what layers remember after layer_n(… layer_1(stem(E x)))

    The encoder of Sutskever et al., "Sequence to sequence learning with neural networks", 2014,
    arXiv:1409.3215, of layers that remember; `Handed` layers begin with it.

    Args:
        inputs: tokens of the vocabulary, or channels of a frame.
        dim: width D.
        layers: one slot of size (dim) a layer.
        embedding: slot of sizes (inputs, dim).
        stem: what follows the embedding.
        backward: whether each text is read from its last token, which brings the beginnings of a
            source and its translation together.

    Shapes: tokens [B T] int, or frames [B T C] -> [B 1 W], W numbers of all states.

    Errors:
        SpecError: layers that remember nothing.

    Example:
        >>> import torch
        >>> from blocks import FinalStates, LSTM, Spec
        >>> encoder = FinalStates(100, 16, layers=(Spec(LSTM, depth=4),), backward=True)
        >>> encoder(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 1, 128])
    """

    def __init__(
        self,
        inputs: int,
        dim: int,
        *,
        layers: tuple[Slot, ...],
        embedding: Slot = TokenEmbedding,
        stem: Slot | None = None,
        backward: bool = False,
    ):
        super().__init__(inputs, dim, layers=layers, embedding=embedding, stem=stem)
        self.backward = backward

    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:
        x, step = self.embedded(inputs, step)
        rows = Rows.of(step)
        x = rows.turn(rows.take(x)) if self.backward else rows.take(x)  # R L D
        places = torch.arange(x.shape[1], device=x.device)[None]
        step = replace(step, positions=places, real=rows.real(x.shape[1]), segments=None, _made={})
        state = content_of(self.layers, len(x), None, x.dtype, x.device)
        self.layered(x, step, state)
        parts = [
            part.flatten(1).to(x.dtype) for leaf in leaves(state) for _, part in leaf.tensors()
        ]
        if not parts:
            raise SpecError("no layer remembers anything", field="FinalStates.layers")
        return torch.cat(parts, 1).to(x.dtype)[:, None]  # B 1 W

    def told(self, step: Step) -> None:
        """Every source has its one place."""
