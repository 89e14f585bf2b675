"""What mixes tokens, of every kind that remembers otherwise, and tiny models of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from blocks import (
    LSTM,
    MLP,
    RWKV,
    ALiBi,
    CausalLM,
    Chain,
    Chunk,
    CrossAttention,
    Encoder,
    EncoderDecoder,
    Full,
    GatedDeltaNet,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LayerStack,
    Mamba,
    Mamba2,
    Parallel,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    Window,
)
from blocks.testing.subject import disturb

DIM, VOCAB = 8, 19
ROPE = Spec(RoPE, theta=10.0)
SEEN = Spec(GQAttention, heads=4, kv_heads=2, qk=(ROPE,))
LATENT = Spec(
    LatentAttention,
    heads=2,
    kv_rank=4,
    nope_dim=3,
    rope_dim=2,
    value_dim=3,
    qk=(Spec(RoPE, theta=10.0, pairing="adjacent"),),
)
MIXERS: dict[str, Spec[Any]] = {
    "attention": SEEN,
    "window": Spec(GQAttention, heads=4, kv_heads=1, qk=(ROPE,), mask=Window(5)),
    "chunk": Spec(GQAttention, heads=2, mask=Chunk(4)),
    "alibi": Spec(GQAttention, heads=2, scores=(Spec(ALiBi),)),
    "latent": LATENT,
    "mamba": Spec(Mamba, state_dim=3),
    "mamba2": Spec(Mamba2, heads=2, head_dim=4, state_dim=3, chunk=4),
    "rwkv": Spec(RWKV),
    "lstm": Spec(LSTM),
    "delta": Spec(GatedDeltaNet, heads=2, chunk=4),
}
# Layers of several kinds under one clock.
HYBRIDS = {
    "mamba and attention": ("mamba", "attention"),
    "delta and window": ("delta", "window", "attention"),
}


def attention(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return Spec(GQAttention, **{**SEEN.keywords, **options})(DIM).double()


def hybrid() -> nn.Module:
    """All kinds of content under one clock, in branches and residuals."""
    torch.manual_seed(0)
    far, near = MIXERS["alibi"], Spec(GQAttention, heads=2, mask=Window(3))
    both = Spec(Parallel, branches={"far": far, "near": near, "none": Spec(MLP, hidden=4)})
    steps = {"mix": Spec(Residual, inner=both, norm_in=RMSNorm), "mlp": Spec(MLP, hidden=4)}
    return Spec(Chain, steps=steps)(DIM).double()


def layer(mixer: Spec[Any], **more: Spec[Any]) -> Spec[Chain]:
    parts = {"mixer": mixer, **more, "mlp": Spec(GatedMLP, hidden=12)}
    steps = {name: Spec(Residual, inner=part, norm_in=RMSNorm) for name, part in parts.items()}
    return Spec(Chain, steps=steps)


def drawn(model: nn.Module) -> Any:
    """In float64, with parameters that make every token matter."""
    model.double().eval()
    disturb(model)
    return model.requires_grad_(False)


def causal(kind: str) -> CausalLM:
    torch.manual_seed(0)
    layers = tuple(layer(MIXERS[mixer]) for mixer in HYBRIDS.get(kind, (kind,) * 2))
    return drawn(CausalLM(vocab=VOCAB, dim=DIM, layers=layers, norm=RMSNorm))


READING = layer(Spec(GQAttention, heads=2, qk=(ROPE,), mask=Full()))


def encoder() -> Encoder:
    torch.manual_seed(0)
    return drawn(Encoder(vocab=VOCAB, dim=DIM, layers=(READING,) * 2, norm=RMSNorm))


def pair() -> EncoderDecoder:
    torch.manual_seed(0)
    writing = layer(SEEN, cross=Spec(CrossAttention, heads=2))
    reader, writer = (Spec(LayerStack, layers=(one,)) for one in (READING, writing))
    return drawn(EncoderDecoder(vocab=VOCAB, dim=DIM, encoder=reader, decoder=writer))
