"""Pooler: one vector for a text, from its first token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive
from blocks.step import Step

__all__ = ["Pooler"]


class Pooler(nn.Module):
    r"""y = act(W x_first + b), of each text's first real token

    Devlin et al., "BERT", 2018, arXiv:1810.04805.

    Args:
        dim: width D.
        act: the activation.

    Shapes: [B T D] -> [B D].

    Errors:
        SpecError: an input of another width, or texts packed into one row.

    Example:
        >>> import torch
        >>> from blocks import Pooler
        >>> Pooler(4)(torch.randn(2, 3, 4)).shape
        torch.Size([2, 4])
    """

    def __init__(self, dim: int, *, act: Activation = "tanh"):
        super().__init__()
        check_positive("Pooler", dim=dim)
        self.dense = nn.Linear(dim, dim)
        self.act = activation(act)
        self.dim = dim

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "Pooler")
        return self.act(self.dense(pooled(x, "first", step)))


def pooled(x: Tensor, kind: str, step: Step | None) -> Tensor:
    """[B T D] -> [B D]: the `first` or the `last` real token, or the `mean` or `max` of them."""
    if step is not None and step.segments is not None:
        raise SpecError("a row gives one vector, and has several packed texts", field="segments")
    real = None if step is None else step.real
    if real is None:
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    if kind in ("first", "last"):
        index = torch.arange(x.shape[1], device=x.device)
        place = torch.where(real, index, x.shape[1] if kind == "first" else -1)
        at = place.amin(1) if kind == "first" else place.amax(1)
        return x[torch.arange(len(x), device=x.device), at.clamp(0, x.shape[1] - 1)]
    if kind == "max":
        return x.masked_fill(~real[..., None], float("-inf")).amax(1)
    weights = real[..., None].to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
