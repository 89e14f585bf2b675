"""Every kind of mixer that a language model may have, and the place in each family for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import blocks
from blocks import (
    GRU,
    LSTM,
    RGLRU,
    RNN,
    RWKV,
    S4,
    S4D,
    ALiBi,
    CausalConv,
    Chunk,
    ChunkAttention,
    GatedDeltaNet,
    GatedMixer,
    GQAttention,
    InfiniAttention,
    LatentAttention,
    LinearAttention,
    LSHAttention,
    Mamba,
    Mamba2,
    QKNorm,
    RelativeAttention,
    RMSNorm,
    RoPE,
    RWKVChannelMix,
    SoftCap,
    Spec,
    TokenShift,
    Window,
)
from tests.surgery.families import model_of, tokens_of

HEADS: dict[str, Any] = {"heads": 4, "head_dim": 8}
ROPE = Spec(RoPE, theta=100.0)
LATENT: dict[str, Any] = {"heads": 4, "kv_rank": 12, "nope_dim": 4, "rope_dim": 4, "value_dim": 8}
MIXERS: dict[str, Spec[Any]] = {
    "multi-head attention": Spec(GQAttention, **HEADS, qk=(ROPE,)),
    "grouped-query attention": Spec(GQAttention, **HEADS, kv_heads=2, qk=(ROPE,)),
    "multi-query attention": Spec(GQAttention, **HEADS, kv_heads=1),
    "window": Spec(GQAttention, **HEADS, qk=(ROPE,), mask=Window(5)),
    "chunk mask": Spec(GQAttention, **HEADS, mask=Chunk(4)),
    "ALiBi": Spec(GQAttention, **HEADS, scores=(Spec(ALiBi),)),
    "query-key norm, sinks, soft cap": Spec(
        GQAttention,
        **HEADS,
        qk=(Spec(QKNorm, norm=RMSNorm), ROPE),
        scores=(Spec(SoftCap, cap=20.0),),
        sinks=True,
        bias=True,
    ),
    "LatentAttention": Spec(
        LatentAttention, **LATENT, qk=(Spec(RoPE, theta=100.0, pairing="adjacent"),)
    ),
    "LatentAttention, latent queries": Spec(LatentAttention, **LATENT, q_rank=6),
    "ChunkAttention": Spec(ChunkAttention, **HEADS, chunk=4),
    "LSHAttention": Spec(LSHAttention, **HEADS, buckets=4, chunk=4, seed=0),
    "InfiniAttention": Spec(InfiniAttention, **HEADS, segment=6),
    "RelativeAttention": Spec(RelativeAttention, **HEADS, memory=16),
    "LinearAttention": Spec(LinearAttention, **HEADS, chunk=4),
    "Mamba": Spec(Mamba, state_dim=4),
    "Mamba2": Spec(Mamba2, heads=4, head_dim=8, state_dim=8, chunk=4),
    "S4": Spec(S4, state_dim=4),
    "S4D": Spec(S4D, state_dim=4),
    "GatedDeltaNet": Spec(GatedDeltaNet, heads=2, head_dim=8, chunk=4),
    "RWKV": Spec(RWKV),
    "RWKVChannelMix": Spec(RWKVChannelMix),
    "RGLRU": Spec(RGLRU, heads=2),
    "GatedMixer": Spec(
        GatedMixer, steps={"conv": Spec(CausalConv, kernel=3), "lru": Spec(RGLRU, heads=2)}
    ),
    "LSTM": Spec(LSTM),
    "GRU": Spec(GRU),
    "RNN": Spec(RNN),
    "CausalConv": Spec(CausalConv),
    "TokenShift": Spec(TokenShift),
}
# Blocks of these folders that stand in no language model's layer as its mixer.
OTHERS = {
    "AdditiveAttention": "reads another sequence",
    "Attending": "reads another sequence",
    "CrossAttention": "reads another sequence",
    "GaussianWindow": "reads another sequence",
    "CircleAttention": "reads both ways",
    "ConvModule": "reads both ways",
    "LongformerAttention": "reads both ways",
    "TurnedAttention": "reads both ways",
    "RTRBM": "reads numbers from 0 to 1",
    "Handed": "is handed its state",
    "SkipStack": "gives another width",
    "ConvStem": "is a stem",
    "Subsampling": "is a stem",
    "Molecules": "is a stem",
    "OutputGate": "is a part of attention",
    "SoftCap": "is a part of attention",
    "Scale": "is a part of attention",
    "Clip": "is a part of attention",
    "TypeRelation": "is a part of attention",
}


def first_mixer(spec: Spec[Any]) -> str:
    """The address of what mixes tokens in the first layer."""
    kinds = {item.func for item in MIXERS.values()}
    for address, part in blocks.walk(spec):
        if address.startswith("layers.0") and part.func in kinds:
            return address
    raise AssertionError("the first layer mixes nothing")


def _sum(model: Any, tokens: Tensor) -> Tensor:
    return model(tokens).square().mean()


def run(family: str, mixer: str, folder: Path) -> float:
    """The first layer's mixer exchanged: the model runs, learns, writes, is saved and loaded.

    Returns:
        The share of the new mixer's parameters that the old one had part in.
    """
    old, tokens = model_of(family), tokens_of(family)
    place = first_mixer(old.spec)
    new, report = blocks.swap(old, place, MIXERS[mixer])
    logits = new(tokens)
    assert logits.shape == old(tokens).shape and logits.isfinite().all()
    loss = blocks.next_token_loss if isinstance(new, blocks.CausalLM) else _sum
    loss(new, tokens).backward()
    inside = {a: p for a, p in blocks.addresses(new).items() if a.startswith(f"{place}.")}
    grads = [p.grad for p in inside.values() if p.requires_grad]
    assert all(grad is None or grad.isfinite().all() for grad in grads)
    assert not grads or any(grad is not None and grad.any() for grad in grads)
    said = blocks.generate(new, tokens, max_new_tokens=3, stop=())
    assert torch.equal(said[:, : tokens.shape[1]], tokens) and said.shape[1] == tokens.shape[1] + 3
    blocks.save_pretrained(new, folder)
    again = blocks.from_pretrained(folder)
    assert again.spec == new.spec and again.provenance.changes == new.provenance.changes
    held = blocks.addresses(again)
    assert all(torch.equal(held[a], tensor) for a, tensor in blocks.addresses(new).items())
    torch.testing.assert_close(again(tokens), logits, atol=1e-4, rtol=1e-4)
    drawn = sum(f.parameters for f in report.new if f.address in inside)
    total = sum(p.numel() for p in inside.values())
    return 1 - drawn / total if total else 1.0
