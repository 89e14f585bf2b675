"""Small models for generation: scrambled ones, and one that says what it is told to say."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks import CausalLM, Chain, GatedMLP, GQAttention, Residual, RMSNorm, RoPE, Spec

VOCAB = 23


def tiny(
    *, vocab: int = VOCAB, context: int | None = None, layers: int = 2, **attention: Any
) -> CausalLM:
    """In float64, with parameters so large that every token matters."""
    options: dict[str, Any] = {"heads": 4, "kv_heads": 2, "qk": (Spec(RoPE, theta=50.0),)}
    inner = Spec(GQAttention, **{**options, **attention})
    layer = Spec(
        Chain,
        steps={
            "attention": Spec(Residual, inner=inner, norm_in=RMSNorm),
            "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=16), norm_in=RMSNorm),
        },
    )
    model = CausalLM(vocab=vocab, dim=16, layers=(layer,) * layers, norm=RMSNorm, context=context)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return model.double()


def uncached(model: Any, prompt: list[int], new: int) -> list[int]:
    """Greedy, the whole text computed anew for every token."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(new):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids


class Count:
    """A state that only counts."""

    def __init__(self):
        self.steps = 0


class Scripted(nn.Module):
    """Speaks the protocol and nothing else: row i says scripts[i], whatever it hears."""

    def __init__(self, *scripts: list[int], vocab: int = 256):
        super().__init__()
        self.vocab, self.scripts = vocab, scripts
        self.heard: list[Any] = []

    def init_state(self, batch: int, room: int | None) -> Count:
        self.room = room
        return Count()

    def forward(
        self, tokens: Tensor, mask: Any = None, state: Any = None, last: bool = False
    ) -> Tensor:
        self.heard.append((tokens.tolist(), None if mask is None else mask.tolist(), last))
        logits = torch.zeros(*tokens.shape, self.vocab)
        for row, script in enumerate(self.scripts):
            logits[row, :, script[state.steps]] = 5.0
        state.steps += 1
        return logits[:, -1:] if last else logits
