"""Entropy patches: one begins where the next token is hard to guess."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_number, check_positive
from blocks.spec import Slot

__all__ = ["EntropyPatches"]


class EntropyPatches(nn.Module):
    r"""A patch begins at token t + 1 where

        H_t = − Σ_v p(v | tokens up to t) log p(v | tokens up to t)  >  threshold,        t ≥ 1

    and at tokens 0 and 1 in any case. p is a small language model's, through which no gradient
    comes. Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871, section 2.3.

    Args:
        model: slot of no sizes: that model, a `CausalLM` for instance.
        threshold: in nats.
        size: tokens after which a patch ends in any case; None is no such bound.

    Shapes: tokens [B T] int -> bool [B T+1], as of `EqualPatches`.

    Example:
        >>> import torch
        >>> from blocks import CausalLM, EntropyPatches, GQAttention, Spec
        >>> layers = (Spec(GQAttention, heads=2),)
        >>> small = Spec(CausalLM, vocab=256, dim=8, layers=layers, norm=None)
        >>> patches = EntropyPatches(model=small, threshold=1.3)
        >>> patches(torch.tensor([list(b"bytes")])).shape
        torch.Size([1, 6])
    """

    def __init__(self, *, model: Slot, threshold: float, size: int | None = None):
        super().__init__()
        check_number("EntropyPatches", threshold=threshold)
        check_positive("EntropyPatches", size=size)
        self.model, self.threshold, self.size = model(), threshold, size

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        logits = self.model(tokens)  # B T V
        p = F.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1)
        begins = F.pad(-(p.exp() * p).sum(-1) > self.threshold, (1, 0))  # B T+1
        begins[:, :2] = True
        if self.size is None:
            return begins
        place = torch.arange(begins.shape[1], device=tokens.device)
        since = place - torch.where(begins, place, 0).cummax(1).values
        return begins | (since % self.size == 0)
