"""Tiny models that rules of carrying are tried on, and how far two of them are apart."""

from __future__ import annotations

from typing import Any

import torch

from blocks import (
    CausalLM,
    Chain,
    GatedMLP,
    GQAttention,
    MoE,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    SoftmaxRouter,
    Spec,
    replace,
)
from blocks.testing.subject import disturb

DIM, VOCAB, LENGTH = 16, 31, 12
TOKENS = torch.randint(0, VOCAB, (2, LENGTH), generator=torch.Generator().manual_seed(1))
ROPE = Spec(RoPE, theta=50.0)
NORMS = {over: Spec(QKNorm, norm=RMSNorm, over=over, gain=True) for over in ("head", "each", "all")}


def model(attention: Any = None, mlp: Any = None, norm: Any = RMSNorm, **options: Any) -> Any:
    attention = attention or Spec(GQAttention, heads=4, kv_heads=2, qk=(ROPE,))
    parts = {"attention": attention, "mlp": mlp or Spec(GatedMLP, hidden=24)}
    steps = {name: Spec(Residual, inner=part, norm_in=norm) for name, part in parts.items()}
    layers = (Spec(Chain, steps=steps),) * 2
    made = CausalLM(vocab=VOCAB, dim=DIM, layers=layers, norm=norm, **options).double()
    disturb(made)
    return made


def difference(one: Any, other: Any) -> float:
    """Of logits, in their standard deviations."""
    with torch.no_grad():
        a, b = one.eval()(TOKENS), other.eval()(TOKENS)
    return float((a - b).abs().max() / a.std())


def more(**options: Any) -> Any:
    return lambda spec: replace(spec, **options)


HEADS: dict[str, Any] = {"heads": 4}
LATENT: dict[str, Any] = {"heads": 4, "value_dim": 4, "norm": None}
STILL = Spec(GQAttention, heads=4, bias=True, out_bias=True)
# Two pairs of channels turn, at two paces.
ONE_KEY = Spec(
    GQAttention, heads=4, kv_heads=1, head_dim=8, qk=(Spec(RoPE, theta=50.0, rotated=0.5),)
)
EXPERT = Spec(GatedMLP, hidden=24)


def moe(router: Any = SoftmaxRouter, **options: Any) -> Spec[Any]:
    return Spec(MoE, **{"experts": 4, "top_k": 2, "expert": EXPERT, "router": router, **options})


def grouped(**options: Any) -> Spec[Any]:
    return Spec(GQAttention, heads=4, qk=(ROPE,), **options)
