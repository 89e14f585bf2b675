"""Graves' networks of 2013: densities, windows, skip connections, and what they write."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from blocks import (
    GRU,
    LSTM,
    AdditiveAttention,
    GaussianWindow,
    GenerationError,
    MixtureDensityHead,
    OneHot,
    SkipStack,
    Spec,
    SpecError,
    State,
    Step,
    generate,
    graves_handwriting,
    graves_text,
    handwrite,
)
from blocks.testing.subject import disturb

TEXTS = [[3, 1, 4, 1, 5], [2, 6]]


def parameters(spec: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in spec().parameters())


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(
    ("spec", "millions"),
    [
        (graves_text(), 4.3),
        (graves_text(vocab=10_000), 54),
        (graves_handwriting(), 3.4),
        (graves_handwriting(hidden=900, depth=1), 3.4),
        (graves_handwriting(vocab=57), 3.7),
    ],
)
def test_sizes_are_the_printed_ones(spec: Any, millions: float) -> None:
    digits = 0 if millions > 10 else 1
    assert round(parameters(spec) / 1e6, digits) == millions


def dense(y: Tensor, points: Tensor, components: int) -> Tensor:
    """Equations 18 to 25 for one ŷ [6M + 1], by torch's own bivariate normal."""
    end, pi, mu, sigma, rho = y.split([1] + [components * n for n in (1, 2, 2, 1)])
    pi, mu, sigma = pi.softmax(0), mu.view(-1, 2), sigma.exp().view(-1, 2)
    cross = rho.tanh() * sigma.prod(1)
    square = sigma.square()
    each = torch.stack([square[:, 0], cross, cross, square[:, 1]], 1).view(-1, 2, 2)
    normal = MultivariateNormal(mu, each)
    density = (pi * normal.log_prob(points[:, None, :2]).exp()).sum(1)
    e = 1 / (1 + end.exp())
    return density * torch.where(points[:, 2] == 1, e, 1 - e)


def test_a_density_is_that_of_the_equations() -> None:
    head = MixtureDensityHead(5, components=4).double()
    y, points = 0.7 * draw(25), draw(30, 3)
    points[:, 2] = (points[:, 2] > 0).double()
    found = head.mixture(y.expand(30, -1)).log_prob(points)
    torch.testing.assert_close(found.exp(), dense(y, points, 4))


def test_a_density_is_scipy_s() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is a second opinion, not needed")
    head = MixtureDensityHead(5, components=3).double()
    y, points = 0.7 * draw(19), draw(10, 3)
    points[:, 2] = 0
    mixture = head.mixture(y)
    rho, sigma = torch.tanh(mixture.slants), mixture.widths.exp()
    wanted = torch.zeros(10, dtype=torch.float64)
    for m in range(3):
        (a, b), r = sigma[m].tolist(), float(rho[m])
        matrix = [[a * a, r * a * b], [r * a * b, b * b]]
        normal = stats.multivariate_normal(mixture.means[m].numpy(), matrix)
        wanted += float(mixture.weights[m].exp()) * torch.from_numpy(normal.pdf(points[:, :2]))
    wanted *= 1 - torch.sigmoid(mixture.lifts)
    torch.testing.assert_close(mixture.log_prob(points).exp(), wanted)


def test_a_density_integrates_to_one() -> None:
    head = MixtureDensityHead(5, components=3).double()
    y = 0.5 * draw(19)
    axis = torch.linspace(-15, 15, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    total = 0.0
    for lift in (0.0, 1.0):
        points = torch.cat([grid, torch.full_like(grid[:, :1], lift)], 1)
        total += float(head.mixture(y).log_prob(points).exp().sum())
    assert total * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_steep_slants_stay_finite() -> None:
    head = MixtureDensityHead(5, components=1)
    y = torch.tensor([0.0, 0.0, 0.1, -0.2, 0.3, 0.1, 15.0], requires_grad=True)
    loss = head.mixture(y).log_prob(torch.tensor([0.1, -0.2, 1.0]))
    loss.backward()
    assert math.isfinite(float(loss.detach())) and bool(y.grad.isfinite().all())


def test_draws_have_the_moments_and_a_bias_narrows_them() -> None:
    head = MixtureDensityHead(5, components=2).double()
    y = torch.tensor([-1.0, 0.5, -0.5, 1, 2, -1, 0, -0.5, 0.1, 0.2, -0.3, 0.8, -0.6]).double()
    rows = y.expand(40_000, -1)
    generator = torch.Generator().manual_seed(0)
    for bias in (0.0, 1.5):
        mixture = head.mixture(y, bias)
        points = head.mixture(rows, bias).sample(generator)
        pi = mixture.weights.exp()
        torch.testing.assert_close(pi, (y[1:3] * (1 + bias)).softmax(0))
        torch.testing.assert_close(mixture.widths.flatten(), y[7:11] - bias)
        mean = (pi[:, None] * mixture.means).sum(0)
        torch.testing.assert_close(points[:, :2].mean(0), mean, atol=0.03, rtol=0)
        sigma, rho = mixture.widths.exp(), torch.tanh(mixture.slants)
        off = mixture.means - mean
        wanted = (pi * (rho * sigma.prod(1) + off.prod(1))).sum()
        found = ((points[:, 0] - mean[0]) * (points[:, 1] - mean[1])).mean()
        torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)
        assert float(points[:, 2].mean()) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.01)
    with pytest.raises(GenerationError, match="bias"):
        head.mixture(y, -1.0)


def test_a_window_is_its_equations_and_only_moves_forward() -> None:
    window = GaussianWindow(5, 4, components=3).double()
    x, memory = draw(1, 6, 5), draw(1, 7, 4)
    found = window(x, Step(torch.arange(6)[None], memory=memory))
    kappa = torch.zeros(3, dtype=torch.float64)
    for t in range(6):
        alpha, beta, moved = window.linear(x[0, t]).exp().split(3)
        assert bool((moved > 0).all())
        kappa = kappa + moved
        wanted = sum(
            (alpha * torch.exp(-beta * (kappa - j) ** 2)).sum() * memory[0, j - 1]
            for j in range(1, 8)
        )
        torch.testing.assert_close(found[0, t], wanted)


@pytest.mark.parametrize("attention", [Spec(GaussianWindow, components=3), AdditiveAttention])
@pytest.mark.parametrize("inner", [Spec(LSTM, hidden=6, peepholes=True), Spec(GRU, hidden=6)])
def test_a_stack_is_its_equations_in_any_chunks(attention: Any, inner: Any) -> None:
    stack = SkipStack(5, inner=inner, depth=3, attention=attention, reads=4).double()
    disturb(stack)
    x, memory, real = (
        draw(2, 7, 5),
        draw(2, 6, 4),
        torch.tensor([[True] * 6, [True] * 4 + [False] * 2]),
    )
    step = Step(torch.arange(7)[None], memory=memory, memory_real=real)
    wanted = stack(x, step)
    state = State.of(stack, 2)
    for part, out in zip(x.split([3, 1, 1, 2], 1), wanted.split([3, 1, 1, 2], 1), strict=True):
        at = state.begin(2, part.shape[1])
        at.memory, at.memory_real = (memory, real) if state.clock.used == 0 else (None, None)
        torch.testing.assert_close(stack(part, at, state.content), out)
        state.end(at)
    first, second, third = wanted.split(6, -1)
    seen = [x.new_zeros(2, 4)]
    looked = stack.attention(first, Step(torch.arange(7)[None], memory=memory, memory_real=real))
    seen = torch.cat([seen[0][:, None], looked], 1)
    torch.testing.assert_close(first, stack.layers[0](torch.cat([x, seen[:, :-1]], -1)))
    torch.testing.assert_close(second, stack.layers[1](torch.cat([x, seen[:, 1:], first], -1)))
    torch.testing.assert_close(third, stack.layers[2](torch.cat([x, seen[:, 1:], second], -1)))
    alone = stack(x[1:], Step(torch.arange(7)[None], memory=memory[1:, :4]))
    torch.testing.assert_close(wanted[1:], alone)


def test_padding_and_selected_rows_of_a_stack_that_looks() -> None:
    inner = Spec(LSTM, hidden=6, peepholes=True)
    stack = SkipStack(5, inner=inner, depth=2, attention=GaussianWindow, reads=4).double()
    x, memory, real = draw(3, 7, 5), draw(3, 6, 4), torch.rand(3, 7) > 0.4
    real[:, 0] = True
    found = stack(x, Step(torch.arange(7)[None], real=real, memory=memory))
    for row in range(3):
        own = x[row : row + 1, real[row]]
        alone = stack(own, Step(torch.arange(own.shape[1])[None], memory=memory[row : row + 1]))
        torch.testing.assert_close(found[row, real[row]], alone[0])
    state = State.of(stack, 3)
    step = state.begin(3, 4)
    step.memory = memory
    stack(x[:, :4], step, state.content)
    state.end(step)
    rows = torch.tensor([2, 0])
    chosen = state.select(rows)
    wanted = stack(x, Step(torch.arange(7)[None], memory=memory))
    torch.testing.assert_close(chosen.run(stack, x[rows, 4:]), wanted[rows, 4:])
    with pytest.raises(GenerationError, match="3 sequences"):
        stack(x[:2], Step(torch.arange(7)[None]), state.content)


def test_text_is_continued_as_a_whole_pass_would() -> None:
    model = graves_text(vocab=12, hidden=9, depth=3)().double()
    disturb(model)
    prompts = [[1, 2, 3, 4], [5, 6]]
    written = generate(model, prompts, max_new_tokens=5, stop=())
    for row, prompt in enumerate(prompts):
        alone = prompt
        for _ in range(5):
            alone = alone + [int(model(torch.tensor([alone]))[0, -1].argmax())]
        assert written[row, -5:].tolist() == alone[-5:]


def test_strokes_go_on_where_they_were_and_ragged_texts_are_read_alone() -> None:
    model = graves_handwriting(vocab=9, hidden=7, components=3)().double()
    disturb(model)
    strokes, text = draw(2, 6, 3), torch.tensor([TEXTS[0], [*TEXTS[1], 0, 0, 0]])
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    wanted = model(strokes, text, None, mask)
    state = model.init_state(2)
    parts = [model(strokes[:, :2], text, None, mask, state)]
    parts += [model(part, state=state) for part in strokes[:, 2:].split([1, 3], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), wanted)
    torch.testing.assert_close(wanted[1:], model(strokes[1:], torch.tensor([TEXTS[1]])))
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    first = model.loss(strokes[:1], text[:1]) * 6
    second = model.loss(strokes[1:, :4], torch.tensor([TEXTS[1]])) * 4
    both = model.loss(strokes, text, real, mask)
    torch.testing.assert_close(both, (first + second) / 10)
    spread, real = draw(2, 9, 3), torch.ones(2, 9, dtype=torch.bool)  # padding before and between
    real[0, :3], real[1, torch.tensor([0, 2, 3, 6, 8])] = False, False
    spread[real] = torch.cat([strokes[0], strokes[1, :4]])
    torch.testing.assert_close(model.loss(spread, text, real, mask), both)


def test_writing_by_hand_ends_behind_the_last_character() -> None:
    model = graves_handwriting(vocab=9, hidden=7, components=3, windows=1)()
    window = model.body.attention.linear
    with torch.no_grad():
        window.weight.zero_()
        window.bias.copy_(torch.tensor([0.0, 0.0, math.log(0.25)]))  # four moves a character
    rows = handwrite(model, TEXTS, most=60, seed=0)
    # κ is n / 4 before move n, and nearest to place U + 1 from κ > U + 1/2 on.
    assert [len(row) for row in rows] == [22, 10]
    again = handwrite(model, TEXTS, most=60, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(rows, again, strict=True))
    assert not torch.equal(handwrite(model, TEXTS, most=60, seed=1)[0], rows[0])
    assert [len(row) for row in handwrite(model, TEXTS, most=15, seed=0)] == [15, 10]
    neat = handwrite(model, TEXTS, most=60, bias=5.0, seed=0)[0]
    assert float(neat[:, :2].std()) < 0.5 * float(rows[0][:, :2].std())
    assert set(rows[0][:, 2].tolist()) == {0.0, 1.0}
    assert model.training


def test_what_is_refused() -> None:
    free, bound = graves_handwriting(hidden=4)(), graves_handwriting(vocab=9, hidden=4)()
    strokes, text = torch.zeros(2, 3, 3), torch.tensor([[1, 2]] * 2)
    for call, field in (
        (lambda: free(strokes, text), "text"),
        (lambda: bound(strokes), "step.memory"),
        (lambda: bound(strokes, text[:1]), "text"),
        (lambda: bound(strokes[..., :2], text), "strokes"),
        (lambda: handwrite(bound), "text"),
        (lambda: handwrite(free, [[1]]), "text"),
        (lambda: handwrite(free, most=0), "most"),
        (lambda: handwrite(free, bias=-1.0), "bias"),
    ):
        with pytest.raises(GenerationError) as caught:
            call()
        assert caught.value.field == field
    with pytest.raises(GenerationError, match="not in the vocabulary"):
        bound(strokes, text + 8)
    with pytest.raises(SpecError, match="too few"):
        OneHot(9, 8)
    with pytest.raises(SpecError, match="one recurrent layer"):
        SkipStack(4, inner=Spec(LSTM, hidden=4, depth=2))
