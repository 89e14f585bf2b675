"""FlashAttention: equal to the plain equation in output and gradients, and linear in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from blocks import SpecError, flash_attend
from blocks.ops import attend as attending
from blocks.ops.attend import attend_plain

B, H, E, V = 2, 4, 8, 6


def draw(kv_heads: int, t: int, s: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    shapes = [(B, H, t, E), (B, kv_heads, s, E), (B, kv_heads, s, V)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def masks(kind: str, t: int, s: int) -> dict[str, Any]:
    if kind == "causal":
        return {"causal": True}
    if kind == "none":
        return {}
    shape = {"keys": (B, 1, 1, s), "pairs": (t, s), "heads": (B, H, t, s)}[kind]
    seen = torch.rand(shape) > 0.4
    seen[..., 0] = kind != "heads"
    if kind == "heads":
        seen[:, :, :3] = False  # queries that see nothing
    return {"seen": seen}


@pytest.mark.parametrize("kind", ["none", "causal", "keys", "pairs", "heads"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("tile", [1, 3, 4, 128])
def test_output_and_gradients_are_the_equations(kind: str, kv_heads: int, tile: int) -> None:
    t, s = (11, 11) if kind == "causal" else (11, 9)
    leaves, how = draw(kv_heads, t, s), masks(kind, t, s) | {"scale": 0.3}
    found, wanted = flash_attend(*leaves, **how, tile=tile), attend_plain(*leaves, **how)
    pull = torch.randn_like(wanted)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)
    for a, b in zip(
        torch.autograd.grad(found, leaves, pull),
        torch.autograd.grad(wanted, leaves, pull),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_default_scale_is_that_of_torch() -> None:
    leaves = draw(H, 10, 10)
    wanted = F.scaled_dot_product_attention(*leaves, is_causal=True)
    torch.testing.assert_close(flash_attend(*leaves, causal=True, tile=4), wanted)


@pytest.mark.parametrize("kind", ["causal", "heads"])
def test_gradients_are_finite_differences(kind: str) -> None:
    leaves, how = draw(2, 4, 4), masks(kind, 4, 4)
    assert torch.autograd.gradcheck(lambda *x: flash_attend(*x, **how, tile=2), leaves)


def test_scores_of_any_size() -> None:
    q, k, v = draw(2, 7, 7)
    for size in (1e4, -1e4):
        y = flash_attend(q * size, k, v, tile=2)
        torch.testing.assert_close(y, attend_plain(q * size, k, v))
        assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum(), (q, k, v)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_sums_are_at_least_float32(dtype: torch.dtype) -> None:
    leaves = [x.detach().to(dtype).requires_grad_() for x in draw(2, 64, 64)]
    y = flash_attend(*leaves, causal=True, tile=8)
    exact = attend_plain(*[x.double() for x in leaves], causal=True)
    assert y.dtype == dtype
    torch.testing.assert_close(y, exact.to(dtype))
    grads = torch.autograd.grad(y.sum(), leaves)
    assert [g.dtype for g in grads] == [dtype] * 3


def peak(function: Callable[..., Tensor], length: int) -> int:
    """Most bytes that a forward and backward pass hold at once, beside their inputs."""
    leaves = [torch.randn(1, 2, length, 8).requires_grad_() for _ in range(3)]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        function(*leaves, causal=True).sum().backward()
    results: Any = found.profiler
    now = most = 0
    for event in results.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def test_memory_is_linear_in_length() -> None:
    def flash(*leaves: Tensor, causal: bool) -> Tensor:
        return flash_attend(*leaves, causal=causal, tile=64)

    lengths = (512, 1024, 2048)
    ours = [peak(flash, n) for n in lengths]
    plain = [peak(attend_plain, n) for n in lengths]
    row = 2 * 4 * (3 * 8 + 3 * 8 + 3 * 8 + 8)  # inputs' gradients, wide and not, y, its own, logs
    for n, used in zip(lengths, ours, strict=True):
        assert used < row * n + 20 * (2 * 64 * 64 * 4)
    assert 1.4 < (ours[2] - ours[1]) / (ours[1] - ours[0]) < 2.6, f"not linear: {ours}"
    assert (plain[2] - plain[1]) / (plain[1] - plain[0]) > 3.5, f"plain is quadratic: {plain}"
    assert plain[2] > 20 * ours[2]


def test_tiles_above_the_triangle_are_skipped() -> None:
    q, k, v = (x.detach() for x in draw(2, 12, 12))
    k[:, :, 8:], v[:, :, 8:] = torch.nan, torch.nan
    assert flash_attend(q, k, v, causal=True, tile=4)[:, :, :8].isfinite().all()


def test_no_block_calls_it() -> None:
    assert "flash" not in vars(attending) and "flash_attend" not in vars(attending)


# torch's own compiler makes an instance of what torch says should have none.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled() -> None:
    leaves = [x.detach() for x in draw(2, 9, 9)]
    compiled = torch.compile(flash_attend, backend="eager")
    torch.testing.assert_close(
        compiled(*leaves, causal=True, tile=4), flash_attend(*leaves, causal=True, tile=4)
    )


BAD: list[tuple[list[tuple[int, ...]], dict[str, Any], str]] = [
    ([(2, 4, 5, 8), (2, 3, 5, 8), (2, 3, 5, 8)], {}, "multiple"),
    ([(2, 2, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)], {}, "multiple"),
    ([(2, 4, 5, 8), (2, 4, 5, 7), (2, 4, 5, 8)], {}, "q, k, v"),
    ([(2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 6, 8)], {}, "q, k, v"),
    ([(4, 5, 8), (4, 5, 8), (4, 5, 8)], {}, "q, k, v"),
    ([(1, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)], {}, "q, k, v"),
    ([(2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 8)], {"causal": True}, "causal"),
    ([(2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)], {"tile": 0}, "tile"),
    ([(2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)], {"seen": torch.zeros(5, 5)}, "seen"),
    ([(2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)], {"seen": torch.ones(4, 5) > 0}, "seen"),
]


@pytest.mark.parametrize(("shapes", "how", "word"), BAD)
def test_bad_input_is_named(shapes: list[tuple[int, ...]], how: Any, word: str) -> None:
    with pytest.raises(SpecError, match=word):
        flash_attend(*[torch.zeros(shape) for shape in shapes], **how)
