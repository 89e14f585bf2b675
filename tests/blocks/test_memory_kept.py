"""What recurrent blocks keep: no more than they say, of their own sizes, with exact gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blocks import (
    GRU,
    LSTM,
    RGLRU,
    RNN,
    RTRBM,
    RWKV,
    S4,
    S4D,
    CausalConv,
    GatedDeltaNet,
    GenerationError,
    LinearAttention,
    Mamba,
    Mamba2,
    RWKVChannelMix,
    Spec,
    State,
    TokenShift,
)
from blocks.state import leaves
from blocks.testing.subject import disturb

MIXERS = {
    "CausalConv": CausalConv,
    "GRU": GRU,
    "GatedDeltaNet": Spec(GatedDeltaNet, heads=2, chunk=4),
    "LSTM": Spec(LSTM, depth=2),
    "LinearAttention": Spec(LinearAttention, heads=4, kv_heads=2, chunk=4),
    "Mamba": Spec(Mamba, state_dim=4),
    "Mamba2": Spec(Mamba2, heads=4, head_dim=4, state_dim=6, chunk=4),
    "RGLRU": Spec(RGLRU, heads=2),
    "RNN": RNN,
    "RTRBM": RTRBM,
    "RWKV": RWKV,
    "RWKVChannelMix": RWKVChannelMix,
    "S4": Spec(S4, state_dim=4),
    "S4D": Spec(S4D, state_dim=4),
    "TokenShift": TokenShift,
}


@pytest.fixture(params=MIXERS)
def mixer(request: pytest.FixtureRequest) -> Any:
    return MIXERS[request.param]


@torch.no_grad()
def test_a_state_holds_no_view_of_a_whole_text(mixer: Any) -> None:
    block = mixer(8)
    for chunks in ([200], [200, 1], [200, 2, 1]):
        state = State.of(block, 2)
        for part in torch.rand(2, sum(chunks), 8).split(chunks, 1):
            state.run(block, part)
        held = sum(
            tensor.untyped_storage().nbytes()
            for content in leaves(state.content)
            for _, tensor in content.tensors()
        )
        assert held <= 2 * state.nbytes


def test_gradients_pass_through_a_state(mixer: Any) -> None:
    block = mixer(8).double()
    disturb(block)
    x = torch.rand(2, 11, 8, dtype=torch.float64, requires_grad=True)
    state = State.of(block, 2, dtype=torch.float64)
    whole = block(x)
    parts = torch.cat([state.run(block, part) for part in x.split([4, 1, 1, 5], 1)], 1)
    weights, learnt = torch.randn_like(whole), [x, *block.parameters()]
    found, wanted = (
        torch.autograd.grad((y * weights).sum(), learnt, allow_unused=True) for y in (parts, whole)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-8)


OTHERS = {
    "CausalConv": (Spec(CausalConv, kernel=1), CausalConv),
    "GRU": (Spec(GRU, hidden=4), GRU),
    "GatedDeltaNet": (
        Spec(GatedDeltaNet, heads=2, kernel=2),
        Spec(GatedDeltaNet, heads=2),
    ),
    "LinearAttention": (
        Spec(LinearAttention, heads=2, eps=None),
        Spec(LinearAttention, heads=2),
    ),
    "Mamba": (Spec(Mamba, kernel=1), Mamba),
    "Mamba of one number": (Spec(Mamba, state_dim=1), Mamba),
    "Mamba2": (Spec(Mamba2, heads=2, kernel=2), Spec(Mamba2, heads=2)),
    "RTRBM": (RNN, RTRBM),
    "RWKV": (Spec(RWKV, inner=1), RWKV),
    "S4D": (Spec(S4D, state_dim=2), S4D),
    "TokenShift": (Spec(CausalConv, kernel=2), TokenShift),
}


ALIKE = {
    "GRU": (Spec(GRU, reset="before"), GRU),
    "GRU of RNN": (RNN, GRU),
    "LSTM": (Spec(LSTM, peepholes=True), LSTM),
    "RNN": (Spec(RNN, act="relu"), RNN),
    "RWKVChannelMix of CausalConv": (Spec(CausalConv, kernel=2), RWKVChannelMix),
    "S4": (S4D, S4),
    "S4D": (S4, S4D),
    "S4D of real": (Spec(S4D, init="real"), S4D),
    "S4D of steps": (Spec(S4D, method="bilinear"), S4D),
    "TokenShift": (Spec(CausalConv, kernel=2), TokenShift),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_a_state_of_another_kind_is_refused_where_sizes_are_the_same(kind: str) -> None:
    theirs, ours = ALIKE[kind]
    wide = 16 if ours is TokenShift else 8  # which keeps half of what it is given
    state = State.of(theirs(8), 2)
    with pytest.raises(GenerationError, match="the state is of .*, not of") as caught:
        state.run(ours(wide), torch.rand(2, 3, wide))
    assert caught.value.field == "state"


@pytest.mark.parametrize("kind", OTHERS)
def test_a_state_of_other_sizes_is_refused(kind: str) -> None:
    other, own = (spec(8) for spec in OTHERS[kind])
    state = State.of(other, 2)
    with pytest.raises(GenerationError) as caught:
        state.run(own, torch.rand(2, 3, 8))
    assert caught.value.field == "state"


@torch.no_grad()
def test_a_state_stays_as_it_is_under_autocast(mixer: Any) -> None:
    block, x = mixer(8), torch.rand(2, 6, 8)
    state = State.of(block, 2)
    before = [tensor.dtype for part in leaves(state.content) for _, tensor in part.tensors()]
    with torch.autocast("cpu", torch.bfloat16):
        for part in x.split([4, 1, 1], 1):
            state.run(block, part)
    after = [tensor.dtype for part in leaves(state.content) for _, tensor in part.tensors()]
    assert after == before


def test_a_batch_of_nothing(mixer: Any) -> None:
    for tokens in (1, 5):
        assert mixer(8)(torch.randn(0, tokens, 8)).shape == (0, tokens, 8)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_fused_layers_learn_when_compiled(kind: Any) -> None:
    block, x = kind(8), torch.randn(2, 5, 8)
    y = torch.compile(block, backend="aot_eager")(x)
    torch.testing.assert_close(y, block(x), atol=1e-6, rtol=1e-5)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    torch.compiler.reset()
