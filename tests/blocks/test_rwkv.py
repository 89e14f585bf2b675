"""RWKV's mean by two scans is the loop, and the loop is the mean as it is written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from blocks import RWKV, GenerationError, RWKVChannelMix, State, Step
from blocks.ops.wkv import Sums, wkv, wkv_loop
from blocks.testing.subject import disturb
from tests.twins.memories import weighed

B, T, C = 2, 23, 5


def drawn(spread: float = 1.0, tokens: int = T) -> list[Tensor]:
    """k, v, fades, bonuses, and the three sums of tokens before."""
    draw = torch.Generator().manual_seed(0)
    shapes = ((B, tokens, C), (B, tokens, C), (C,), (C,), (B, C), (B, C), (B, C))
    parts = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    k, v, fade, bonus, over, under, peak = parts
    return [spread * k, v, (2 * fade).exp(), bonus, over, under.exp(), spread * peak]


def flat(y: Tensor, sums: Sums) -> list[Tensor]:
    """What doesn't depend on the peak that sums are counted from."""
    over, under, peak = sums
    return [y, over / under, under.log() + peak]


@pytest.mark.parametrize("spread", [1.0, 300.0])
@pytest.mark.parametrize("tokens", [1, 2, T])
def test_scans_are_the_loop(spread: float, tokens: int) -> None:
    k, v, fade, bonus, *sums = drawn(spread, tokens)
    ours = flat(*wkv(k, v, fade, bonus, tuple(sums), torch.full((B,), tokens)))
    plain = flat(*wkv_loop(k, v, fade, bonus, tuple(sums)))
    for one, other in zip(ours, plain, strict=True):
        assert torch.allclose(one, other, atol=1e-10, rtol=1e-12)


def test_the_loop_is_the_mean_as_it_is_written() -> None:
    k, v, fade, bonus, *_ = drawn()
    none = torch.zeros(B, C, dtype=torch.float64)
    y, _ = wkv_loop(k, v, fade, bonus, (none, none, none - 1e38))
    for row in range(B):
        assert torch.allclose(y[row], weighed(k[row], v[row], fade, bonus), atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_gradients_are_those_of_the_loop(spread: float) -> None:
    grads = []
    for rule in (wkv, wkv_loop):
        parts = [part.requires_grad_() for part in drawn(spread)]
        y, mean, size = flat(*rule(*parts[:4], tuple(parts[4:])))
        total = y.sin().sum() + mean.cos().sum() + size.tanh().sum()
        grads.append(torch.autograd.grad(total, parts[:6]))  # the first peak is where one counts
    for ours, plain in zip(*grads, strict=True):
        assert torch.allclose(ours, plain, atol=1e-10, rtol=1e-10)


def test_large_keys_are_no_trouble_in_float32() -> None:
    parts = [part.float() for part in drawn(300.0, 200)]
    none = torch.zeros(B, C)
    parts[4:] = [none, none, none - 1e38]
    parts = [part.requires_grad_() for part in parts]
    y, sums = wkv(*parts[:4], tuple(parts[4:]))
    exact, _ = wkv_loop(
        *(part.double() for part in parts[:4]), tuple(p.double() for p in parts[4:])
    )
    assert (y - exact).abs().max() < 1e-3
    for grad in torch.autograd.grad(y.sum() + sums[0].sum(), parts[:4]):
        assert grad.isfinite().all()


def test_a_small_fade_is_not_lost_over_a_long_text() -> None:
    k, v = 40 + torch.randn(1, 2000, C), torch.randn(1, 2000, C)
    none, fade = torch.zeros(1, C), torch.full((C,), 1e-3)
    parts = (k, v, fade, torch.zeros(C), none, none, none - 1e38)
    exact, _ = wkv_loop(*(p.double() for p in parts[:4]), tuple(p.double() for p in parts[4:]))
    for rule in (wkv, wkv_loop):
        assert (rule(*parts[:4], tuple(parts[4:]))[0] - exact).abs().max() < 5e-6


@pytest.fixture(params=[RWKV, RWKVChannelMix])
def block(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made = request.param(16).double()
    disturb(made)
    return made.eval()


def test_steps_chunks_and_padding_agree(block: nn.Module) -> None:
    x, state = torch.randn(3, 12, 16).double(), State.of(block, 3, dtype=torch.float64)
    whole = block(x)
    parts = [state.run(block, part) for part in x.split([5, 1, 1, 4, 1], 1)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-12)
    mask = torch.rand(3, 12, generator=torch.Generator().manual_seed(0)) > 0.4
    mask[1, :6] = False
    alone = [block(row[real][None])[0] for row, real in zip(x, mask, strict=True)]
    padded = block(x, Step(torch.arange(12)[None], real=mask))
    state = State.of(block, 3, dtype=torch.float64)
    pieces = [state.run(block, x[:, a:b], mask[:, a:b]) for a, b in ((0, 4), (4, 5), (5, 12))]
    for row in range(3):
        for ours in (padded, torch.cat(pieces, 1)):
            assert torch.allclose(ours[row, mask[row]], alone[row], atol=1e-12)


def test_a_state_of_another_batch_is_refused(block: nn.Module) -> None:
    state = State.of(block, 3, dtype=torch.float64).content
    with pytest.raises(GenerationError, match="3 sequences"):
        block(torch.randn(2, 1, 16).double(), None, state)
