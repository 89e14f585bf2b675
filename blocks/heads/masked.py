"""Masked-language-model head: which token stands at each place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.mlp.activations import Activation, activation
from blocks.norm.layer import LayerNorm
from blocks.ops.check import check_positive, check_width
from blocks.spec import Slot

__all__ = ["MaskedHead"]


class MaskedHead(nn.Module):
    r"""logits = W norm(act(W_dense x)) + b

    Devlin et al., "BERT", 2018, arXiv:1810.04805.

    Args:
        dim: width D.
        vocab: tokens V.
        width: of what W reads, to which W_dense brings x; None is D.
        act: the activation.
        norm: slot of size (width).
        dense_bias, bias: biases of W_dense and of W.

    Shapes: [... D] -> [... V].

    Example:
        >>> import torch
        >>> from blocks import MaskedHead
        >>> MaskedHead(4, 10)(torch.randn(1, 3, 4)).shape
        torch.Size([1, 3, 10])
    """

    def __init__(
        self,
        dim: int,
        vocab: int,
        *,
        width: int | None = None,
        act: Activation = "gelu",
        norm: Slot = LayerNorm,
        dense_bias: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        check_positive("MaskedHead", dim=dim, vocab=vocab, width=width)
        self.dense = nn.Linear(dim, width or dim, bias=dense_bias)
        self.act = activation(act)
        self.norm = norm(width or dim)
        self.weight = nn.Parameter(torch.empty(vocab, width or dim))
        self.bias = nn.Parameter(torch.empty(vocab)) if bias else None
        self.dim = dim
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "MaskedHead")
        x = self.norm(self.act(self.dense(x)))  # ... D
        return F.linear(x, self.weight, self.bias)  # ... V
