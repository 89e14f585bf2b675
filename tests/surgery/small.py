"""A small model of every part that swaps are tried on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks import (
    CausalLM,
    Chain,
    GatedMLP,
    GQAttention,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
)
from blocks.testing.subject import disturb

DIM, VOCAB = 16, 31
TOKENS = torch.randint(0, VOCAB, (2, 9), generator=torch.Generator().manual_seed(1))
TIED = (("head.weight", "embedding.weight"),)
ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(QKNorm, norm=RMSNorm), Spec(RoPE)))


def residual(**parts: Any) -> dict[str, Any]:
    return {name: Spec(Residual, inner=part, norm_in=RMSNorm) for name, part in parts.items()}


LAYER = Spec(Chain, steps=residual(attention=ATTENTION, mlp=Spec(GatedMLP, hidden=24)))


def model(depth: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    layers = (LAYER,) * depth
    made = CausalLM(vocab=VOCAB, dim=DIM, layers=layers, norm=RMSNorm, **options)
    disturb(made)
    return made


def logits(one: Any) -> Tensor:
    with torch.no_grad():
        return one.eval()(TOKENS)


def of(fates: Any) -> set[str]:
    return {fate.address for fate in fates}
