"""Infini-attention: the reference package, memory, padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    CausalLM,
    Chain,
    Chunk,
    GatedMLP,
    GenerationError,
    GQAttention,
    InfiniAttention,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    State,
    Step,
    generate,
)
from blocks.testing.subject import disturb

B, T, D, H, K, L = 2, 11, 16, 4, 2, 3
ROPE = Spec(RoPE, theta=100.0)


def make(**options: Any) -> InfiniAttention:
    sizes = {"heads": H, "kv_heads": K, "segment": L}
    infini = InfiniAttention(D, **(sizes | options)).double().eval()
    disturb(infini)
    return infini


def draw(tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, D, dtype=torch.float64)


@pytest.mark.parametrize("update", ["linear", "delta"])
@pytest.mark.parametrize("room", [None, T, 2 * T])
@pytest.mark.parametrize("segment", [1, 3, 4, 20])
def test_step_and_chunk_are_the_whole(update: str, room: int | None, segment: int) -> None:
    infini, x = make(update=update, segment=segment, qk=(ROPE,)), draw()
    for chunks in ([1] * T, [4, 4, 3], [7, 1, 1, 2], [T]):
        state = State.of(infini, B, room)
        parts = [state.run(infini, part) for part in x.split(chunks, 1)]
        torch.testing.assert_close(torch.cat(parts, 1), infini(x))


@pytest.mark.parametrize("update", ["linear", "delta"])
@pytest.mark.parametrize("segment", [1, 2, 3, 5, 20])
def test_padding_is_the_identity(update: str, segment: int) -> None:
    infini, x = make(update=update, segment=segment, qk=(ROPE,)), draw(13)
    real = torch.rand(B, 13, generator=torch.Generator().manual_seed(segment)) > 0.35
    litter = torch.where(real[..., None], x, torch.inf)
    for chunks in ([13], [1] * 13, [6, 1, 1, 5], [2, 9, 2]):
        for given in (torch.where(real[..., None], x, 50.0), x):
            state = State.of(infini, B, room=13)
            pieces = zip(given.split(chunks, 1), real.split(chunks, 1), strict=True)
            y = torch.cat([state.run(infini, part, mask) for part, mask in pieces], 1)
            for row in range(B):
                alone = infini(x[row : row + 1, real[row]])
                torch.testing.assert_close(y[row : row + 1, real[row]], alone)
            after = state.run(infini, x[:, :1]) if int(state.clock.next.max()) < 13 else None
            if after is not None:
                for row in range(B):
                    whole = torch.cat([x[row, real[row]], x[row, :1]])[None]
                    torch.testing.assert_close(after[row], infini(whole)[0, -1:])
    state = State.of(infini, B)
    state.run(infini, litter, real)
    sums = [tensor for _, tensor in state.content.tensors()][2:]
    assert not litter.isfinite().all() and all(bool(s.isfinite().all()) for s in sums)


@torch.no_grad()
@pytest.mark.parametrize("update", ["linear", "delta"])
def test_the_reference_package(update: str) -> None:
    """infini-transformer-pytorch: whole segments one by one, its memories handed on."""
    theirs_of = pytest.importorskip(
        "infini_transformer_pytorch.infini_transformer",
        reason="infini-transformer-pytorch is not installed",
    )
    torch.manual_seed(0)
    delta = update == "delta"
    theirs = theirs_of.CausalAttention(D, dim_head=8, heads=H, use_mem_delta_rule=delta)
    theirs = theirs.double().eval()
    disturb(theirs.norm)  # not all: its rotary frequencies are parameters
    theirs.fastweight_mem.head_gates.copy_(torch.randn(H))
    rope = Spec(RoPE, theta=10_000.0, pairing="adjacent")
    ours = make(kv_heads=H, head_dim=8, segment=4, update=update, qk=(rope,))
    q, k, v = theirs.to_qkv.weight.chunk(3)
    weights = {"q.weight": q, "k.weight": k, "v.weight": v, "out.weight": theirs.to_out.weight}
    ours.load_state_dict(weights | {"gate": -theirs.fastweight_mem.head_gates})
    x = draw(14)
    memories, parts = None, []
    for part in x.split(4, 1):
        y, _, memories = theirs(part, past_memories=memories, return_new_memories=True)
        parts.append(y)
    found, wanted = ours(theirs.norm(x)), torch.cat(parts, 1)
    # Angles are float32 on both sides.
    assert float((found - wanted).abs().max()) < 1e-5 * float(wanted.std())
    ours.gate.add_(0.01)
    assert float((ours(theirs.norm(x)) - wanted).abs().max()) > 1e-4 * float(wanted.std())


def test_a_closed_memory_is_attention_in_chunks() -> None:
    infini, x = make(qk=(ROPE,)), draw()
    plain = GQAttention(D, heads=H, kv_heads=K, qk=(ROPE,), mask=Chunk(L)).double()
    plain.load_state_dict({n: t for n, t in infini.state_dict().items() if n != "gate"})
    assert (infini(x) - plain(x)).abs().max() > 1e-3
    with torch.no_grad():
        infini.gate.fill_(-torch.inf)
    torch.testing.assert_close(infini(x), plain(x))


def test_the_first_segment_is_plain_attention() -> None:
    infini, x = make(segment=T), draw()
    plain = GQAttention(D, heads=H, kv_heads=K).double()
    plain.load_state_dict({n: t for n, t in infini.state_dict().items() if n != "gate"})
    torch.testing.assert_close(infini(x), plain(x))


def test_delta_doesnt_store_twice_what_is_known() -> None:
    """The same keys and values in every segment: by the delta rule, M / z stays what it was."""
    x = draw(L).repeat(1, 4, 1)
    memories = {}
    for update in ("linear", "delta"):
        torch.manual_seed(0)
        infini = make(update=update, segment=L)
        state = State.of(infini, B)
        state.run(infini, x)
        memories[update] = state.content.memory
    assert memories["delta"].norm() < 0.6 * memories["linear"].norm()


def test_memory_is_bounded_and_sums_are_wide() -> None:
    infini = make(segment=4).to(torch.bfloat16)
    state = State.of(infini, B)
    held = state.nbytes
    y = state.run(infini, draw(100).to(torch.bfloat16))
    assert y.dtype == torch.bfloat16 and state.nbytes == held
    e = D // H
    assert held == B * K * (2 * 5 * e * 2 + 2 * (e * e + e) * 4)
    assert state.content.memory.dtype == torch.float32
    short = State.of(infini, B, room=2)
    assert short.content.room == 2


def test_bfloat16_follows_float64() -> None:
    exact, x = make(segment=4), draw(40)
    rough = make(segment=4)
    rough.load_state_dict(exact.state_dict())
    rough.to(torch.bfloat16)
    off = rough(x.to(torch.bfloat16)).double() - exact(x)
    assert off.abs().max() < 0.05 * exact(x).abs().max()


@pytest.mark.parametrize("update", ["linear", "delta"])
def test_gradients_reach_through_segments(update: str) -> None:
    infini, x = make(update=update, qk=(ROPE,)), draw().requires_grad_()
    (grad,) = torch.autograd.grad(infini(x)[0, -1].sum(), x)
    assert bool((grad[0].abs().amax(-1) > 0).all())


def test_its_state_is_copied_and_chosen_but_not_cut() -> None:
    infini, x = make(qk=(ROPE,)), draw()
    state = State.of(infini, B)
    state.run(infini, x[:, :5])
    chosen = state.copy().select(torch.tensor([1]))
    state.run(infini, x[:, 5:8].flip(0))
    torch.testing.assert_close(chosen.run(infini, x[1:, 5:]), infini(x)[1:, 5:])
    with pytest.raises(GenerationError, match="InfiniState"):
        state.trim(1)


def test_packed_documents_are_refused() -> None:
    step = Step(torch.arange(T)[None], segments=torch.zeros(B, T, dtype=torch.int64))
    with pytest.raises(SpecError, match="documents"):
        make()(draw(), step)


def test_in_a_model() -> None:
    attention = Spec(InfiniAttention, heads=4, kv_heads=2, segment=3, qk=(ROPE,))
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
    }
    layer = Spec(Chain, steps=steps)
    model = CausalLM(vocab=50, dim=16, layers=(layer, layer), norm=RMSNorm).double().eval()
    disturb(model)
    tokens = torch.randint(50, (2, 8))
    state = model.init_state(2, 8)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens))
    ids = generate(model, [[1, 2, 3, 4, 5, 6], [7, 8]], max_new_tokens=9)
    for row, prompt in enumerate(([1, 2, 3, 4, 5, 6], [7, 8])):
        alone = generate(model, [prompt], max_new_tokens=9)
        assert ids[row, -9:].tolist() == alone[0, -9:].tolist()
