"""The gated delta rule: chunks are the loop, and the block is its equation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blocks import GatedDeltaNet, GenerationError, SpecError, State, Step
from blocks.ops.delta import delta_loop, delta_rule
from blocks.testing.subject import disturb

B, T, K, H, E, V = 2, 11, 2, 4, 3, 5


def drawn(tokens: int = T, seed: int = 0) -> list[Tensor]:
    """q, k, v, decays, β and a memory to start from."""
    draw = torch.Generator().manual_seed(seed)
    shapes = ((K, E), (K, E), (H, V), (H,), (H,))
    q, k, v, decay, beta = (
        torch.randn(B, tokens, *shape, generator=draw, dtype=torch.float64) for shape in shapes
    )
    start = torch.randn(B, H, E, V, generator=draw, dtype=torch.float64)
    return [q, F.normalize(k, dim=-1), v, -F.softplus(decay), 2 * beta.sigmoid(), start]


@pytest.mark.parametrize("chunk", [1, 2, 4, 11, 64])
def test_chunks_are_the_loop(chunk: int) -> None:
    parts = drawn()
    for ours, plain in zip(delta_rule(*parts, chunk), delta_loop(*parts), strict=True):
        assert torch.allclose(ours, plain, atol=1e-12, rtol=0)


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_gradients_are_those_of_the_loop(chunk: int) -> None:
    grads = []
    for rule in (lambda *parts: delta_rule(*parts, chunk), delta_loop):
        parts = [part.requires_grad_() for part in drawn()]
        y, memory = rule(*parts)
        grads.append(torch.autograd.grad((y.sin().sum() + memory.cos().sum()), parts))
    for ours, plain in zip(*grads, strict=True):
        assert torch.allclose(ours, plain, atol=1e-11, rtol=0)


def test_strong_decays_over_long_chunks_stay_finite() -> None:
    parts = drawn(200)
    parts[3] = parts[3] * 100
    parts = [part.requires_grad_() for part in parts]
    y, memory = delta_rule(*parts, 64)
    assert torch.allclose(y, delta_loop(*parts)[0], atol=1e-12, rtol=0)
    for grad in torch.autograd.grad(y.sum() + memory.sum(), parts):
        assert grad.isfinite().all()


def test_what_was_written_is_read_and_overwritten() -> None:
    """With β = 1 and no decay the memory answers a key with the value that came last with it."""
    k = torch.eye(3, dtype=torch.float64)[[0, 1, 0, 2]][None, :, None]
    v = torch.randn(1, 4, 1, 2, dtype=torch.float64)
    none, one = torch.zeros(1, 4, 1, dtype=torch.float64), torch.ones(1, 4, 1, dtype=torch.float64)
    _, memory = delta_rule(k, k, v, none, one, torch.zeros(1, 1, 3, 2, dtype=torch.float64), 2)
    assert torch.allclose(memory[0, 0], v[0, [2, 1, 3], 0])


def net(**options: object) -> GatedDeltaNet:
    torch.manual_seed(3)
    block = GatedDeltaNet(
        16, heads=K, head_dim=E, value_heads=H, value_dim=V, chunk=4, **options
    ).double()
    disturb(block)
    return block.eval()


def test_steps_chunks_and_padding_agree() -> None:
    block, x = net(), torch.randn(3, 12, 16).double()
    whole, state = block(x), State.of(block, 3, dtype=torch.float64)
    parts = [state.run(block, part) for part in x.split([5, 1, 1, 4, 1], 1)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-12)
    mask = torch.rand(3, 12, generator=torch.Generator().manual_seed(0)) > 0.4
    step = Step(torch.arange(12)[None], real=mask)
    padded = block(x, step)
    for row in range(3):
        alone = block(x[row : row + 1, mask[row]])
        assert torch.allclose(padded[row, mask[row]], alone[0], atol=1e-12)


def test_bad_sizes_and_states_are_refused() -> None:
    with pytest.raises(SpecError, match="3 is no multiple of 2"):
        GatedDeltaNet(16, heads=2, value_heads=3)
    block, x = net(), torch.randn(2, 3, 16).double()
    state = block.init_state(3, None, torch.float64, None)
    with pytest.raises(GenerationError, match="3 sequences"):
        block(x, None, state)
