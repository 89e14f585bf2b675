"""Pretraining head: the masked tokens and the relation of two texts, learnt at once."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from blocks.heads.masked import MaskedHead
from blocks.heads.sequence import SequenceHead
from blocks.ops.wants import call, wants
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["Pretraining", "PretrainingHead"]


class Pretraining(NamedTuple):
    """What a `PretrainingHead` says: of each token [B T V], and of each pair of texts [B 2]."""

    tokens: Tensor
    pairs: Tensor


class PretrainingHead(nn.Module):
    r"""masked(x), and whether the second text of a pair follows the first: pairs(x)

    Devlin et al., "BERT", 2018, arXiv:1810.04805, section 3.1.

    Args:
        dim: width D.
        vocab: tokens V.
        masked: slot of sizes (dim, vocab).
        pairs: slot of size (dim).

    Shapes: [B T D] -> [B T V] and [B 2].

    Example:
        >>> import torch
        >>> from blocks import PretrainingHead
        >>> PretrainingHead(4, 10)(torch.randn(1, 5, 4)).pairs.shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        dim: int,
        vocab: int,
        *,
        masked: Slot = MaskedHead,
        pairs: Slot = Spec(SequenceHead, labels=2),  # frozen
    ):
        super().__init__()
        self.masked = masked(dim, vocab)
        self.pairs = pairs(dim)
        self._wants = wants(self.pairs)

    def forward(self, x: Tensor, step: Step | None = None) -> Pretraining:
        return Pretraining(self.masked(x), call(self.pairs, x, step, None, self._wants))
