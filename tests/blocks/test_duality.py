"""State-space duality: one sum in three forms, and Mamba-2 that stands on it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from blocks import GatedRMSNorm, Mamba2, Spec, State, Step, ssd
from blocks.errors import GenerationError, SpecError
from blocks.ops.duality import ssd_loop, ssd_matrix

SIZES = [(2, 13, 4, 3, 2, 5), (1, 1, 2, 3, 1, 4), (2, 8, 3, 1, 3, 1)]  # B T H P G N


def case(sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    batch, tokens, heads, width, groups, state = sizes
    x = torch.randn(batch, tokens, heads, width)
    decay = -3 * torch.rand(batch, tokens, heads)
    b, c = torch.randn(2, batch, tokens, groups, state)
    start = torch.randn(batch, heads, state, width)
    return tuple(part.double().requires_grad_() for part in (x, decay, b, c, start))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("chunk", [1, 2, 4, 13, 50])
def test_any_chunk_gives_what_the_loop_gives(chunk: int, sizes: tuple[int, ...]) -> None:
    given = case(sizes)
    found, wanted = ssd(*given, chunk=chunk), ssd_loop(*given)
    weights = [torch.randn_like(one) for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found, given, weights),
        torch.autograd.grad(wanted, given, weights),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_dual_form_is_one_matrix(sizes: tuple[int, ...]) -> None:
    x, decay, b, c, _ = case(sizes)
    wanted, _ = ssd_loop(x, decay, b, c)
    torch.testing.assert_close(ssd_matrix(x, decay, b, c), wanted, atol=1e-12, rtol=1e-12)


def test_a_strong_decay_forgets_all() -> None:
    x, decay, b, c, start = (part.detach().float() for part in case(SIZES[0]))
    y, h = ssd(x, decay - 1e4, b, c, start)
    once = (c * b).sum(-1).repeat_interleave(2, 2)[..., None] * x
    torch.testing.assert_close(y, once)
    torch.testing.assert_close(h, b.repeat_interleave(2, 2)[:, -1, :, :, None] * x[:, -1, :, None])


@pytest.mark.parametrize("strong", [-torch.inf, -1e30])
def test_a_decay_may_leave_nothing_at_all(strong: float) -> None:
    x, decay, b, c, start = (part.detach() for part in case(SIZES[0]))
    decay[:, 4:6] = strong
    given = tuple(part.requires_grad_() for part in (x, decay, b, c, start))
    found, wanted = ssd(*given, chunk=8), ssd_loop(*given)
    grads = (torch.autograd.grad(y.sum() + h.sum(), given) for y, h in (found, wanted))
    for one, other in zip((*found, *next(grads)), (*wanted, *next(grads)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_a_strong_decay_leaves_the_weak_ones_exact() -> None:
    """What stands in a chunk before does not round what comes after."""
    x, decay, b, c, _ = (part.detach() for part in case((1, 64, 1, 4, 1, 8)))
    decay = decay / 300
    decay[:, :16] = -300
    wanted, _ = ssd_loop(x, decay, b, c)
    found, _ = ssd(*(part.float() for part in (x, decay, b, c)))
    torch.testing.assert_close(found.double(), wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"x": (2, 13, 3, 3)}, "x"),
        ({"b": (2, 12, 2, 5)}, "x"),
        ({"c": (2, 13, 2, 4)}, "x"),
        ({"decay": (2, 13, 2)}, "x"),
        ({"start": (2, 4, 3, 5)}, "start"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], field: str) -> None:
    given = dict(zip(("x", "decay", "b", "c", "start"), case(SIZES[0]), strict=True))
    given |= {name: torch.ones(shape) for name, shape in change.items()}
    with pytest.raises(SpecError) as caught:
        ssd(**given)
    assert caught.value.field == field


@pytest.mark.parametrize(("tokens", "chunk"), [(0, 4), (5, 0)])
def test_nothing_to_do(tokens: int, chunk: int) -> None:
    x, decay, b, c, _ = case((1, tokens, 2, 3, 1, 4))
    with pytest.raises(SpecError) as caught:
        ssd(x, decay, b, c, chunk=chunk)
    assert caught.value.field == "chunk"


def mixer(chunk: int) -> Mamba2:
    torch.manual_seed(0)
    norm = Spec(GatedRMSNorm, groups=2)
    options = {"heads": 4, "head_dim": 3, "state_dim": 5, "groups": 2, "norm": norm}
    return Mamba2(8, chunk=chunk, **options).double()


@torch.no_grad()
def test_tokens_and_chunks_of_them_give_the_same() -> None:
    x = torch.randn(2, 11, 8).double()
    whole = mixer(50)(x)
    for chunk, parts in ((4, [11]), (1, [11]), (4, [1] * 11), (3, [5, 1, 5])):
        block = mixer(chunk)
        state = State.of(block, 2)
        found = torch.cat([state.run(block, part) for part in x.split(parts, 1)], 1)
        torch.testing.assert_close(found, whole, atol=1e-12, rtol=0)


def test_sums_of_16_bit_activations_have_32() -> None:
    block = mixer(4).bfloat16()
    state = State.of(block, 1)
    state.run(block, torch.randn(1, 3, 8).bfloat16())
    assert (state.content.sums.dtype, state.content.tail.dtype) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("what", ["kind", "batch", "dtype"])
def test_a_state_that_does_not_fit(what: str) -> None:
    block, x = mixer(4).float(), torch.randn(2, 3, 8)
    dtype = torch.bfloat16 if what == "dtype" else torch.float32
    content = State.of(block, 3 if what == "batch" else 2, dtype=dtype).content
    with pytest.raises(GenerationError) as caught:
        block(x, Step.plain(x), "else" if what == "kind" else content)
    assert caught.value.field == "state"


def test_limits_with_nothing_between() -> None:
    with pytest.raises(SpecError) as caught:
        Mamba2(8, heads=2, limits=(0.2, 0.1))
    assert caught.value.field == "Mamba2.limits"


def test_groups_that_do_not_divide() -> None:
    with pytest.raises(SpecError) as caught:
        GatedRMSNorm(12, groups=5)
    assert caught.value.field == "GatedRMSNorm.groups"


def test_groups_that_do_not_divide_the_heads_are_named() -> None:
    with pytest.raises(SpecError, match="4 heads can't share 3 groups") as caught:
        Mamba2(8, heads=4, groups=3)
    assert caught.value.field == "Mamba2.groups"
