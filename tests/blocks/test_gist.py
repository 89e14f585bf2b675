"""Gist and prefix masks: the rule itself, and models that obey it with and without a state."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    ALiBi,
    Causal,
    CausalLM,
    Chain,
    GatedMLP,
    Gist,
    GQAttention,
    Mask,
    Prefix,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    State,
)
from blocks.testing.subject import disturb

START, STOP, T = 4, 6, 11
DECODER = Causal() & Gist(START, STOP)


@pytest.mark.parametrize("bad", [(0, 2), (3, 3), (3, 2), (-1, 2), (1, 2.0), (1, None), (True, 2)])
def test_bad_places(bad: tuple[Any, Any]) -> None:
    with pytest.raises(SpecError, match="st"):
        Gist(*bad)


def test_a_gist_is_a_value() -> None:
    assert Gist(2, 4) == Gist(2, 4) != Gist(2, 5) and hash(Gist(2, 4)) == hash(Gist(2, 4))
    spec = Spec(GQAttention, heads=2, mask=Causal() & Gist(2, 4))
    names = {n: getattr(blocks, n) for n in blocks.__all__}
    assert eval(repr(spec), names) == spec


def model_with(mask: Mask, **options: Any) -> CausalLM:
    attention = Spec(GQAttention, heads=4, kv_heads=2, mask=mask, **options)
    layer = Spec(
        Chain,
        steps={
            "attention": Spec(Residual, inner=attention, norm_in=RMSNorm),
            "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
        },
    )
    model = CausalLM(vocab=50, dim=16, layers=(layer, layer), norm=RMSNorm).double().eval()
    disturb(model)
    return model


def in_chunks(model: CausalLM, tokens: Tensor, chunks: list[int], room: int | None) -> Tensor:
    state = model.init_state(len(tokens), room)
    return torch.cat([model(part, state=state) for part in tokens.split(chunks, 1)], 1)


# What looks ahead lies within one chunk: the prefix in the first, an encoder's halves in one each.
CASES = [
    (DECODER, [T - 2, 1, 1]),
    (DECODER, [1] * T),
    (DECODER, [STOP, 3, 2]),
    (DECODER, [START + 1, 4, 2]),
    (Gist(START, STOP), [STOP, T - STOP]),
    (Prefix(5), [5, *[1] * (T - 5)]),
    (Prefix(5), [7, 3, 1]),
    (Prefix(1), [1] * T),
]


@pytest.mark.parametrize("room", [None, T])
@pytest.mark.parametrize(("mask", "chunks"), CASES)
def test_prefill_and_decode_are_one_pass(mask: Mask, chunks: list[int], room: int | None) -> None:
    model = model_with(mask, qk=(Spec(RoPE, theta=100.0),))
    tokens = torch.randint(50, (2, T))
    torch.testing.assert_close(in_chunks(model, tokens, chunks, room), model(tokens))
    attention = GQAttention(16, heads=4, mask=mask).double()
    x = torch.randn(2, T, 16, dtype=torch.float64)
    state = State.of(attention, 2, room)
    parts = [state.run(attention, part) for part in x.split(chunks, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), attention(x))


@pytest.mark.parametrize("mask", [DECODER, Prefix(5)])
def test_a_mask_counts_real_tokens(mask: Mask) -> None:
    model = model_with(mask, qk=(Spec(RoPE, theta=100.0),))
    tokens = torch.randint(50, (2, T))
    real = torch.ones(2, T, dtype=torch.bool)
    real[1, :3] = False
    padded = model(tokens, mask=real)
    torch.testing.assert_close(padded[1:, 3:], model(tokens[1:, 3:]))


def test_a_model_without_the_mask_is_another() -> None:
    tokens = torch.randint(50, (2, T))
    for mask in (DECODER, Prefix(5)):
        masked, plain = model_with(mask), model_with(Causal())
        plain.load_state_dict(masked.state_dict())
        assert (masked(tokens) - plain(tokens)).abs().max() > 1e-3


def test_after_the_gist_the_prompt_may_be_forgotten() -> None:
    model = model_with(DECODER, qk=(Spec(RoPE, theta=100.0),))
    tokens = torch.randint(50, (2, T))
    state = model.init_state(2, T)
    model(tokens[:, :STOP], state=state)
    forgotten = 0
    for layer in state.content:
        memory = layer["attention"]
        memory.k[:, :, :START], memory.v[:, :, :START] = 7.0, -9.0
        forgotten += 1
    assert forgotten == 2
    parts = [model(part, state=state) for part in tokens[:, STOP:].split([2, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens)[:, STOP:])


def test_the_cached_gist_alone_gives_the_full_forward() -> None:
    """With relative positions the gist's keys and values can be moved to the start of a memory."""
    options = {"scores": (Spec(ALiBi),)}
    model, plain = model_with(DECODER, **options), model_with(Causal(), **options)
    plain.load_state_dict(model.state_dict())
    tokens = torch.randint(50, (2, T))
    state, short = model.init_state(2), plain.init_state(2)
    model(tokens[:, :STOP], state=state)
    plain(tokens[:, START:STOP], state=short)  # puts the clock there; its memory is replaced
    for layer, small in zip(state.content, short.content, strict=True):
        for name in ("k", "v"):
            gist = getattr(layer["attention"], name)[:, :, START:STOP]
            setattr(small["attention"], name, gist.clone())
    assert short.nbytes < state.nbytes
    ends = pairwise([STOP, STOP + 2, STOP + 3, T])
    parts = [plain(tokens[:, a:b], state=short) for a, b in ends]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens)[:, STOP:])
