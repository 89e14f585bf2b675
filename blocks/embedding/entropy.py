"""Entropy patches: one begins where the next token is hard to guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_number, check_positive
from blocks.spec import Slot
from blocks.state import Clock, Content, State, content_of
from blocks.step import Step

__all__ = ["EntropyPatches"]


@dataclass
class Began(Content):
    """Where the newest patch began [B], bounds of its length left out."""

    at: Tensor


class EntropyPatches(nn.Module):
    r"""A patch ends with token t where

        H_t = − Σ_v p(v | tokens up to t) log p(v | tokens up to t)  >  threshold,        t ≥ 1

    and with token 0 in any case. p is a small language model's, through which no gradient
    comes. Pagnoni et al., "Byte latent transformer", 2024, arXiv:2412.09871, section 2.3.

    Args:
        model: slot of no sizes: that model, a `CausalLM`.
        threshold: in nats.
        size: tokens after which a patch ends in any case; None is no such bound.

    Shapes: tokens [B T] int -> bool [B T], True where a patch ends with a token.

    Errors:
        SpecError: packed documents, or a threshold that is no number.

    Example:
        >>> import torch
        >>> from blocks import CausalLM, EntropyPatches, GQAttention, Spec
        >>> layers = (Spec(GQAttention, heads=2),)
        >>> small = Spec(CausalLM, vocab=256, dim=8, layers=layers, norm=None)
        >>> patches = EntropyPatches(model=small, threshold=1.3)
        >>> patches(torch.tensor([list(b"bytes")])).shape
        torch.Size([1, 5])
    """

    def __init__(self, *, model: Slot, threshold: float, size: int | None = None):
        super().__init__()
        check_number("EntropyPatches", threshold=threshold)
        check_positive("EntropyPatches", size=size)
        self.model, self.threshold, self.size = model(), threshold, size

    @torch.no_grad()
    def forward(self, tokens: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        step = Step.plain(tokens) if step is None else step
        if step.segments is not None:
            reason = "the model would read across the ends of packed documents"
            raise SpecError(reason, field="segments")
        logits = self.model(tokens, step.real, None if state is None else state["model"])  # B T V
        p = F.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1)
        place = step.positions.expand_as(tokens)
        ends = (-(p.exp() * p).sum(-1) > self.threshold) | (place == 0)  # B T
        if self.size is None:
            return ends
        before = torch.zeros_like(place[:, 0]) if state is None else state["began"].at
        real = torch.ones_like(ends) if step.real is None else step.real
        began = torch.where(ends & real, place + 1, before[:, None]).cummax(1).values
        if state is not None:
            state["began"].at = began[:, -1].clone()
        return ends | ((place + 1 - began) % self.size == 0)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        at = torch.zeros(batch, dtype=torch.int64, device=device)
        layers = content_of(self.model.layers, batch, room, dtype, device)
        return {"model": State(Clock(batch, room, device), layers), "began": Began(at)}
