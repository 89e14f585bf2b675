"""S4 and S4D against dense matrices, one token after another, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    S4,
    S4D,
    CausalConv,
    GenerationError,
    SpecError,
    State,
    addresses,
    hippo_dplr,
    hippo_legs,
    scan,
)
from blocks.step import Step
from tests.twins import ssm

DIM, STATE = 3, 6
KINDS: dict[str, dict[str, Any]] = {
    "S4": {},
    "lin": {"init": "lin"},
    "inv": {"init": "inv", "method": "bilinear"},
    "legs": {"init": "legs"},
    "real": {"init": "real"},
    "real bilinear": {"init": "real", "method": "bilinear"},
}
BARE: dict[str, Any] = {"act": "identity", "out": None}


def made(kind: str, **options: Any) -> Any:
    """A layer whose parameters have left where they start."""
    torch.manual_seed(4)
    options = {"state_dim": STATE, "dt": (0.05, 0.5), **BARE, **KINDS[kind], **options}
    layer = (S4 if kind == "S4" else S4D)(DIM, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return layer


def discrete(layer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A [D N N], B [D N] and C [D N] of a step, complex."""
    p, method = addresses(layer), getattr(layer, "method", "bilinear")
    channels = []
    for d in range(DIM):
        a, b, c = ssm.continuous(p, d)
        channels.append((*ssm.discrete(a, b, p["log_dt"][d].exp(), method), c))
    a, b, c = (torch.stack(each) for each in zip(*channels, strict=True))
    return a, b, c


def by_hand(layer: Any, x: Tensor) -> Tensor:
    """The recurrence, a dense product a token, and what follows it."""
    how = getattr(layer, "method", "bilinear"), "identity", None
    return torch.stack([ssm.time_invariant(addresses(layer), row, *how) for row in x])


every = pytest.mark.parametrize("kind", KINDS)


@every
def test_the_recurrence_and_its_gradients(kind: str) -> None:
    layer, x = made(kind), torch.randn(2, 37, DIM, dtype=torch.float64, requires_grad=True)
    found, wanted = layer(x), by_hand(layer, x)
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=0)
    weight, all_of_them = torch.randn_like(x), [x, *layer.parameters()]
    ours, theirs = (torch.autograd.grad((y * weight).sum(), all_of_them) for y in (found, wanted))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@every
@pytest.mark.parametrize("length", [1, 2, 16, 17, 40])
def test_the_kernel_is_powers_of_the_matrix(kind: str, length: int) -> None:
    layer = made(kind)
    a, b, c = discrete(layer)
    powers = [torch.linalg.matrix_power(a, t) @ b[..., None] for t in range(length)]
    wanted = (c[..., None] * torch.cat(powers, 2)).sum(1).real
    torch.testing.assert_close(layer.kernel(length), wanted, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(layer.kernel(50)[:, :length], wanted, atol=1e-12, rtol=1e-10)


@every
@pytest.mark.parametrize("chunks", [(37,), (1,) * 37, (16, 1, 20), (1, 35, 1)])
def test_steps_and_convolutions_agree(kind: str, chunks: tuple[int, ...]) -> None:
    layer, x = made(kind), torch.randn(2, 37, DIM, dtype=torch.float64)
    state = State.of(layer, 2)
    with torch.no_grad():
        parts = [state.run(layer, part) for part in x.split(list(chunks), 1)]
        once, wanted = State.of(layer, 2), by_hand(layer, x)
        once.run(layer, x)
    torch.testing.assert_close(torch.cat(parts, 1), wanted, atol=1e-11, rtol=0)
    torch.testing.assert_close(state.content.hidden, once.content.hidden, atol=1e-11, rtol=0)


@every
def test_rows_that_end_early_keep_their_own_state(kind: str) -> None:
    layer, x = made(kind), torch.randn(4, 21, DIM, dtype=torch.float64)
    lengths, state = torch.tensor([21, 8, 0, 15]), State.of(layer, 4)
    with torch.no_grad():
        state.run(layer, x)
        state.run(layer, x, torch.arange(21) < lengths[:, None])
        for row, length in enumerate(lengths.tolist()):
            alone = State.of(layer, 1)
            for part in (x[row : row + 1], x[row : row + 1, :length]):
                alone.run(layer, part) if part.shape[1] else None
            torch.testing.assert_close(
                state.content.hidden[row : row + 1], alone.content.hidden, atol=1e-11, rtol=0
            )


@pytest.mark.parametrize("kind", ["lin", "real"])
def test_a_scan_gives_the_same(kind: str) -> None:
    layer, x = made(kind), torch.randn(2, 37, DIM, dtype=torch.float64)
    a, b, c = layer.system(torch.float64)
    h = scan(a.expand(2, 37, -1, -1), b * x[..., None])
    torch.testing.assert_close(layer(x), (c * h).real.sum(3) + layer.D * x, atol=1e-11, rtol=0)


@every
def test_no_output_hears_later_tokens(kind: str) -> None:
    layer, x = made(kind), torch.randn(1, 12, DIM, dtype=torch.float64, requires_grad=True)
    for t in range(11):
        (grad,) = torch.autograd.grad(layer(x)[:, t].sum(), x)
        assert float(grad[:, t + 1 :].abs().max()) < 1e-13 < float(grad[:, t].abs().min())


@pytest.mark.parametrize("size", [2, 8, 64])
def test_hippo_is_a_normal_matrix_less_one_of_rank_one(size: int) -> None:
    a, b = hippo_legs(size)
    normal = a + b[:, None] * b / 2
    torch.testing.assert_close(normal @ normal.T, normal.T @ normal, rtol=1e-12, atol=1e-9)
    values = torch.linalg.eigvals(normal)
    torch.testing.assert_close(values.real, torch.full_like(values.real, -0.5), rtol=0, atol=1e-9)
    ours = hippo_dplr(size)[0]
    assert bool((ours.imag > 0).all()) and bool((ours.real == -0.5).all())
    found = torch.cat([-ours.imag.flip(0), ours.imag])
    torch.testing.assert_close(values.imag.sort().values, found, rtol=1e-10, atol=1e-9)


def test_hippo_in_other_axes_is_the_same_system() -> None:
    (a, b), (values, p, turned) = hippo_legs(8), hippo_dplr(8)
    p, turned = torch.cat([p, p.conj()]), torch.cat([turned, turned.conj()])
    other = torch.diag(torch.cat([values, values.conj()])) - p[:, None] * p.conj()
    found = torch.linalg.eigvals(other).real.sort().values
    torch.testing.assert_close(found, -torch.arange(8.0, 0.0, -1.0).double(), rtol=0, atol=1e-7)
    for k in range(6):
        wanted = b @ torch.linalg.matrix_power(a, k) @ b
        moment = (turned.conj() @ torch.linalg.matrix_power(other, k) @ turned).real
        torch.testing.assert_close(moment, wanted, rtol=1e-10, atol=0)


def test_hippo_remembers_by_legendre_polynomials() -> None:
    """What remains of a constant is its mean alone, once nothing else is remembered."""
    a, b = hippo_legs(6)
    rest = torch.linalg.solve(a, -b[:, None])[:, 0]
    torch.testing.assert_close(rest, torch.eye(6, dtype=torch.float64)[0], atol=1e-12, rtol=0)


@every
def test_a_fresh_layer_fades_over_ten_thousand_tokens(kind: str) -> None:
    layer = (S4 if kind == "S4" else S4D)(4, state_dim=64, dt=(0.001, 0.001), **KINDS[kind])
    kernel = layer.kernel(12_000).detach()
    assert float(kernel[:, 10_000:].abs().max()) < 0.05 * float(kernel[:, :100].abs().max())


def test_fresh_matrices_are_the_papers() -> None:
    n = torch.arange(4.0)
    waves: dict[Any, Tensor | None] = {
        "lin": math.pi * n,
        "inv": 8 / math.pi * (8 / (2 * n + 1) - 1),
        "real": None,
    }
    for init, wanted in waves.items():
        layer = S4D(2, state_dim=8, init=init)
        real = torch.full((4,), 0.5) if wanted is not None else 1 + torch.arange(8.0)
        torch.testing.assert_close(layer.A_log.exp(), real.expand(2, -1))
        if wanted is not None:
            torch.testing.assert_close(layer.A_imag, wanted.expand(2, -1))


def test_the_state_is_summed_in_float32() -> None:
    layer, x = S4(4, state_dim=4).bfloat16(), torch.randn(2, 3, 4).bfloat16()
    state = State.of(layer, 2)
    assert state.run(layer, x).dtype == torch.bfloat16
    assert state.content.hidden.dtype == torch.float32


@pytest.mark.parametrize("what", ["kind", "batch", "dtype"])
def test_a_state_that_does_not_fit(what: str) -> None:
    layer, x = S4(4, state_dim=4), torch.randn(2, 3, 4)
    state = State.of(layer, 3 if what == "batch" else 2).content
    if what == "kind":
        state = State.of(CausalConv(4), 2).content
    if what == "dtype":
        layer, x = layer.double(), x.double()
    with pytest.raises(GenerationError) as caught:
        layer(x, Step.plain(x), state)
    assert caught.value.field == "state"


@pytest.mark.parametrize(
    ("options", "field"),
    [({"state_dim": 5}, "state_dim"), ({"dt": (0.2, 0.1)}, "dt"), ({"dt": (0.0, 0.1)}, "dt")],
)
def test_options_that_cannot_be(options: dict[str, Any], field: str) -> None:
    for kind in (S4, S4D):
        with pytest.raises(SpecError) as caught:
            kind(4, **options)
        assert caught.value.field == f"{kind.__name__}.{field}"
        with pytest.raises(SpecError):
            kind(4).kernel(0)
    with pytest.raises(SpecError):
        hippo_dplr(3)
    with pytest.raises(SpecError):
        hippo_legs(0)
