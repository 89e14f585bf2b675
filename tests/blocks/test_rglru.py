"""RG-LRU beyond its equations: gradients, first weights, states."""

from __future__ import annotations

import pytest
import torch

from blocks import (
    RGLRU,
    CausalConv,
    CausalLM,
    Chain,
    GatedMixer,
    GenerationError,
    Spec,
    State,
    addresses,
)
from blocks.step import Step
from tests.twins import recurrent
from tests.twins.facts import Facts


def drawn(dim: int = 6, heads: int = 2) -> RGLRU:
    lru = RGLRU(dim, heads=heads).double()
    with torch.no_grad():
        for parameter in lru.parameters():
            parameter.add_(torch.randn_like(parameter))
    return lru


def test_the_papers_equations_have_these_gradients() -> None:
    lru, x = drawn(), torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    facts, found = Facts(range(9)), lru(x)
    wanted = torch.stack([recurrent.rglru(addresses(lru), row, facts, heads=2) for row in x])
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    weight, every = torch.randn_like(x), [x, *lru.parameters()]
    ours, theirs = (torch.autograd.grad((y * weight).sum(), every) for y in (found, wanted))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_a_decay_of_one_has_a_finite_gradient() -> None:
    lru, x = RGLRU(4, heads=1), torch.randn(1, 5, 4, requires_grad=True)
    with torch.no_grad():
        lru.decay_gate.bias.fill_(-200)
    y = lru(x)
    assert torch.equal(y, y[:, :1].expand_as(y))  # nothing fades, nothing comes in
    y.sum().backward()
    gradients = [x.grad, *(p.grad for p in lru.parameters())]
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in gradients)


def test_fresh_decays_lie_in_the_ring() -> None:
    radius = torch.exp(-torch.nn.functional.softplus(RGLRU(512, heads=4).decay.detach()))
    assert 0.9 <= float(radius.min()) < 0.91 < 0.99 < float(radius.max()) <= 0.999


def test_packed_documents_begin_anew() -> None:
    steps = {"conv": Spec(CausalConv, kernel=3), "lru": Spec(RGLRU, heads=2)}
    layer = Spec(Chain, steps={"mixer": Spec(GatedMixer, steps=steps)})
    model = CausalLM(vocab=11, dim=8, layers=(layer,) * 2, norm=None).double().eval()
    parts = [torch.randint(11, (1, n)) for n in (4, 1, 5)]
    segments = torch.tensor([[0] * 4 + [1] + [2] * 5])
    packed = model(torch.cat(parts, 1), segments=segments)
    alone = torch.cat([model(part) for part in parts], 1)
    torch.testing.assert_close(packed, alone, atol=1e-12, rtol=0)


def test_the_state_is_summed_in_float32() -> None:
    lru, x = RGLRU(8, heads=2).bfloat16(), torch.randn(2, 3, 8).bfloat16()
    state = State.of(lru, 2)
    assert state.run(lru, x).dtype == torch.bfloat16
    assert state.content.hidden.dtype == torch.float32


@pytest.mark.parametrize("what", ["kind", "batch", "dtype"])
def test_a_state_that_does_not_fit(what: str) -> None:
    lru, x = RGLRU(8, heads=2), torch.randn(2, 3, 8)
    state = State.of(lru, 3 if what == "batch" else 2).content
    if what == "kind":
        state = State.of(CausalConv(8), 2).content
    if what == "dtype":
        lru, x = lru.double(), x.double()
    with pytest.raises(GenerationError) as caught:
        lru(x, Step.plain(x), state)
    assert caught.value.field == "state"


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="multiple of heads 3"):
        RGLRU(8, heads=3)
