"""Sequence head: which class a text belongs to."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.heads.pooler import pooled
from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_input, check_positive, check_rate
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["SequenceHead"]


class SequenceHead(nn.Module):
    r"""logits = W norm(act(W_dense pool(x))) + b

    Devlin et al., "BERT", 2018, arXiv:1810.04805, section 4.1.

    Args:
        dim: width D.
        labels: classes; 1 gives a number (regression).
        pool: the `first` or `last` real token, or the `mean` of all.
        width: of what W reads, to which W_dense brings pool(x); None is D.
        act: the activation after W_dense; None is neither of them.
        norm: slot of size (width).
        dense_bias: a bias on W_dense.
        dropout: rate at which channels are dropped in training, before the last projection.

    Shapes: [B T D] -> [B labels].

    Errors:
        SpecError: a width without W_dense, an input of another width than D, or texts packed into
            one row.

    Example:
        >>> import torch
        >>> from blocks import SequenceHead
        >>> SequenceHead(4, labels=3)(torch.randn(2, 5, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dim: int,
        *,
        labels: int,
        pool: Literal["first", "last", "mean"] = "first",
        width: int | None = None,
        act: Activation | None = "tanh",
        norm: Slot | None = None,
        dense_bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("SequenceHead", dim=dim, labels=labels, width=width)
        check_rate("SequenceHead", dropout=dropout)
        if width and not act:
            raise SpecError(f"nothing brings {dim} to {width}", field="width", hint="give an act")
        inside = width or dim
        self.dense = nn.Linear(dim, inside, bias=dense_bias) if act else None
        self.act = activation(act) if act else None
        self.norm = norm(inside) if norm else None
        self.out = nn.Linear(inside, labels)
        self.drop = nn.Dropout(dropout)
        self.dim, self.pool = dim, pool

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_input(x, self.dim, "SequenceHead")
        x = pooled(x, self.pool, step)  # B D
        if self.dense is not None and self.act is not None:
            x = self.act(self.dense(x))
        x = x if self.norm is None else self.norm(x)
        return self.out(self.drop(x))  # B labels
