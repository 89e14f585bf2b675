"""Span head: where in a text the answer to a question begins and ends."""

from __future__ import annotations

from blocks.heads.token import TokenHead
from blocks.mlp.activations import Activation
from blocks.spec import Slot

__all__ = ["SpanHead"]


class SpanHead(TokenHead):
    r"""(begin_t, end_t) = W norm(act(W_dense x_t)) + b,        or W x_t + b without an activation

    The scores of each token as the first and as the last of the answer: a `TokenHead` of these two
    labels. Devlin et al., "BERT", 2018, arXiv:1810.04805, section 4.2.

    Args:
        dim: width D.
        act: the activation after W_dense; None is neither of them.
        norm: slot of size (dim).
        dense_bias: a bias on W_dense.
        dropout: rate at which channels are dropped in training.

    Shapes: [B T D] -> [B T 2].

    Example:
        >>> import torch
        >>> from blocks import SpanHead
        >>> SpanHead(4)(torch.randn(1, 5, 4)).shape
        torch.Size([1, 5, 2])
    """

    def __init__(
        self,
        dim: int,
        *,
        act: Activation | None = None,
        norm: Slot | None = None,
        dense_bias: bool = True,
        dropout: float = 0.0,
    ):
        parts = {"act": act, "norm": norm, "dense_bias": dense_bias}
        super().__init__(dim, labels=2, dropout=dropout, **parts)
