"""Small models with several kinds of layers, which the tests of their inside share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import blocks
from blocks import Chain, GatedMLP, GQAttention, Mamba, Residual, RMSNorm, Spec
from blocks.attention.mask import Window

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def normed(inner: Spec[Any], **more: Any) -> Spec[Any]:
    return Spec(Residual, inner=inner, norm_in=RMSNorm, **more)


def layer(mixer: Spec[Any], name: str = "attention") -> Spec[Any]:
    return Spec(Chain, steps={name: normed(mixer), "mlp": normed(Spec(GatedMLP, hidden=12))})


ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(blocks.RoPE),))


def model_of(*layers: Spec[Any], **more: Any) -> Any:
    torch.manual_seed(0)
    model = blocks.CausalLM(vocab=20, dim=16, layers=layers, norm=RMSNorm, **more).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)
    return model


def hybrid_model() -> Any:
    """Attention, a ring of a window, and a recurrence."""
    window = blocks.replace(ATTENTION, mask=Window(3))
    return model_of(layer(ATTENTION), layer(window), layer(Spec(Mamba), "mixer"))


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
