"""RTRBM: exact likelihoods and gradients by enumeration, contrastive divergence, bouncing balls."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from blocks import RTRBM, GenerationError, SpecError, State, Step, dream
from blocks.ops.boltzmann import free_energy
from blocks.ops.rows import Rows
from blocks.testing.subject import disturb


def make(dim: int, hidden: int, scale: float = 1.0) -> RTRBM:
    machine = RTRBM(dim, hidden=hidden).double()
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return machine


def states(units: int) -> Tensor:
    return torch.tensor(list(product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def draw(*shape: int) -> Tensor:
    return torch.bernoulli(torch.full(shape, 0.5, dtype=torch.float64))


@pytest.mark.parametrize("sizes", [(3, 2), (2, 4)])
def test_all_sequences_together_have_probability_one(sizes: tuple[int, int]) -> None:
    machine = make(*sizes)
    steps = states(sizes[0])
    every = torch.stack([torch.stack(pair) for pair in product(steps, repeat=2)])
    total = machine.log_likelihood(every).exp().sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))


def joint(machine: RTRBM, c: Tensor) -> Tensor:
    """p(v, h) of one step, [2^D 2^H], each pair of states counted by itself."""
    w, b = machine.weight, machine.visible
    rows = [
        torch.stack([h @ w @ v + b @ v + c @ h for h in states(machine.hidden)])
        for v in states(machine.dim)
    ]
    table = torch.stack(rows)
    return (table - torch.logsumexp(table.flatten(), 0)).exp()


@torch.no_grad()
def by_hand(machine: RTRBM, v: Tensor) -> tuple[float, dict[str, Tensor]]:
    """log p of one row [T D] and its gradient: expectations by counting, then backwards in time."""
    w, u, d = machine.weight, machine.recurrent.weight, machine.recurrent.bias
    c, told, seen = machine.first, 0.0, []
    for x in v:
        table, r = joint(machine, c), torch.sigmoid(w @ x + c)
        told += float(table.sum(1)[int((states(machine.dim) == x).all(1).nonzero())].log())
        seen.append((x, r, table))
        c = u @ r + d
    grads = {name: torch.zeros_like(p) for name, p in machine.named_parameters()}
    later = torch.zeros_like(machine.first)  # of all later steps by the c of the next one
    for t in reversed(range(len(v))):
        x, r, table = seen[t]
        hs, vs = states(machine.hidden), states(machine.dim)
        grads["recurrent.weight"] += torch.outer(later, r)
        grads["recurrent.bias"] += later
        before = (u.T @ later) * r * (1 - r)  # through r_t, by W v_t + c_t
        grads["weight"] += torch.outer(r, x) - hs.T @ table.T @ vs + torch.outer(before, x)
        grads["visible"] += x - table.sum(1) @ vs
        later = r - table.sum(0) @ hs + before
    grads["first"] += later
    return told, grads


@pytest.mark.parametrize("sizes", [(4, 3), (3, 5)])
def test_likelihood_and_gradient_are_those_of_enumeration(sizes: tuple[int, int]) -> None:
    machine, v = make(*sizes), draw(1, 5, sizes[0])
    told = machine.log_likelihood(v)[0]
    told.backward()
    wanted, grads = by_hand(machine, v[0])
    assert float(told.detach()) == pytest.approx(wanted, rel=1e-12)
    for name, parameter in machine.named_parameters():
        torch.testing.assert_close(parameter.grad, grads[name], atol=1e-12, rtol=1e-9)


def gradient(machine: RTRBM, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(machine.parameters()))])


def test_contrastive_divergence_points_the_right_way_and_ends_at_the_gradient() -> None:
    torch.manual_seed(0)
    machine, v = make(4, 3, scale=0.7), draw(1, 4, 4)
    exact = gradient(machine, -machine.log_likelihood(v).sum())
    many = v.expand(20_000, -1, -1)
    generator = torch.Generator().manual_seed(0)
    far = []
    for steps in (1, 30):
        found = gradient(machine, machine.contrast(many, steps=steps, generator=generator).mean())
        assert float(torch.cosine_similarity(found, exact, dim=0)) > (0.8 if steps == 1 else 0.999)
        far.append(float((found - exact).norm() / exact.norm()))
    assert far[1] < 0.03 < far[0]


def test_padding_packed_documents_and_states() -> None:
    machine, v = make(4, 3), draw(2, 6, 4)
    real = torch.tensor([[True] * 6, [False, True, True, False, True, False]])
    step = Step(torch.arange(6)[None], real=real)
    told = machine.log_likelihood(v, step)
    torch.testing.assert_close(told[1:], machine.log_likelihood(v[1:, real[1]]))
    segments = torch.tensor([[0] * 4 + [1] * 2])
    packed = machine.log_likelihood(v[:1], Step(torch.arange(6)[None], segments=segments))
    alone = [machine.log_likelihood(part) for part in (v[:1, :4], v[:1, 4:])]
    torch.testing.assert_close(packed, torch.cat(alone))
    state = State.of(machine, 2)
    parts = [state.run(machine, part) for part in v.split([1, 3, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), machine(v))


def test_dreams_follow_the_distribution() -> None:
    machine, v = make(3, 2), draw(1, 2, 3)
    found = dream(machine, v.expand(20_000, -1, -1), 1, seed=0)[:, 0]
    after = torch.cat([v.expand(8, -1, -1), states(3)[:, None]], 1)
    wanted = machine.log_likelihood(after).softmax(0).detach()
    codes = (found * torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).sum(1).long()
    shares = torch.bincount(codes, minlength=8) / len(codes)
    torch.testing.assert_close(shares.double(), wanted, atol=0.015, rtol=0)
    longer = dream(machine, v, 5, seed=1)
    assert longer.shape == (1, 5, 3) and set(longer.flatten().tolist()) <= {0.0, 1.0}
    assert torch.equal(longer, dream(machine, v, 5, seed=1))


def test_what_is_refused() -> None:
    with pytest.raises(SpecError, match="17 units have too many states"):
        RTRBM(17).log_likelihood(torch.zeros(1, 2, 17))
    machine = RTRBM(4)
    with pytest.raises(SpecError, match=r"\[batch, tokens, 4\]"):
        machine.contrast(torch.zeros(1, 2, 5))
    for v, most in (
        (torch.zeros(1, 0, 4), 3),
        (torch.zeros(1, 2, 5), 3),
        (torch.zeros(1, 2, 4), 0),
    ):
        with pytest.raises(GenerationError):
            dream(machine, v, most)


@pytest.mark.parametrize("value", [2.0, -0.1, float("nan")])
def test_what_is_no_unit_is_refused(value: float) -> None:
    machine, v = make(4, 3), draw(2, 5, 4)
    step = Step(torch.arange(5)[None], real=torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1]]) > 0)
    padded = v.clone()
    padded[1, 2] = value
    for call in (machine, machine.contrast, machine.log_likelihood):
        told = call(padded, step)  # padding may hold anything
        assert (told if told.dim() == 1 else told[step.real]).isfinite().all()
        with pytest.raises(SpecError, match=f"not {value:g}") as caught:
            call(padded)
        assert caught.value.field == "x"
    with pytest.raises(SpecError, match="not"):
        dream(machine, padded, 1)
    half = torch.full_like(v, 0.5)
    assert machine(half).isfinite().all() and machine.contrast(half).isfinite().all()
    with pytest.raises(SpecError, match="0 or 1, not 0.5"):
        machine.log_likelihood(half)


def balls(rows: int, tokens: int, places: int = 7) -> Tensor:
    """A ball on a line, two places wide, that bounces off both ends: [rows tokens places]."""
    turn = 2 * (places - 2)  # as long as the way there and back
    at = (torch.randint(turn, (rows, 1)) + torch.arange(tokens)) % turn
    at = torch.where(at > places - 2, turn - at, at)[..., None]
    place = torch.arange(places)
    return ((place == at) | (place == at + 1)).float()


def test_bouncing_balls_are_learnt_by_contrastive_divergence() -> None:
    torch.manual_seed(0)
    machine, other = RTRBM(7, hidden=12), balls(64, 12)
    disturb(machine)
    before = float(machine.log_likelihood(other).mean().detach()) / 12
    optimizer = torch.optim.Adam(machine.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        machine.contrast(balls(32, 10)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = float(machine.log_likelihood(other).mean()) / 12
        _, c, _ = machine.run(other, Rows())
        every = states(7).float()
        likeliest = free_energy(every, machine.weight, machine.visible, c[..., None, :]).argmin(-1)
        right = (every[likeliest] == other).all(-1)
    assert before < -4 and after > -1.5
    assert float(right[:, 3:].float().mean()) > 0.8
