"""Token head: which class each token belongs to."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.ops.check import check_positive, check_rate, check_width
from blocks.spec import Slot

__all__ = ["TokenHead"]


class TokenHead(nn.Module):
    r"""logits_t = W norm(act(W_dense x_t)) + b,        or W x_t + b without an activation

    Devlin et al., "BERT", 2018, arXiv:1810.04805, section 5.3; with one label and an activation
    it tells replaced tokens: Clark et al., "ELECTRA", 2020, arXiv:2003.10555.

    Args:
        dim: width D.
        labels: classes.
        act: the activation after W_dense; None is neither of them.
        norm: slot of size (dim).
        dense_bias: a bias on W_dense.
        dropout: rate at which channels are dropped in training.

    Shapes: [B T D] -> [B T labels].

    Example:
        >>> import torch
        >>> from blocks import TokenHead
        >>> TokenHead(4, labels=2)(torch.randn(1, 5, 4)).shape
        torch.Size([1, 5, 2])
    """

    def __init__(
        self,
        dim: int,
        *,
        labels: int,
        act: Activation | None = None,
        norm: Slot | None = None,
        dense_bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive(type(self).__name__, dim=dim, labels=labels)
        check_rate(type(self).__name__, dropout=dropout)
        self.dense = nn.Linear(dim, dim, bias=dense_bias) if act else None
        self.act = activation(act) if act else None
        self.norm = norm(dim) if norm else None
        self.out = nn.Linear(dim, labels)
        self.drop = nn.Dropout(dropout)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "TokenHead")
        if self.dense is not None and self.act is not None:
            x = self.act(self.dense(x))
        x = x if self.norm is None else self.norm(x)
        return self.out(self.drop(x))  # B T labels
