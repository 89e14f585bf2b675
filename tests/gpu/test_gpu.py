"""On a GPU: the paths that are chosen there, beside the plain ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import blocks
from blocks import ALiBi, GatedMLP, GQAttention, MoE, RelativeBias, RoPE, SoftCap, Spec, Window
from blocks.ops import gpu
from blocks.ops.attend import attend
from tests.speed.test_optimize import ATTENTION, TOKENS, model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("default"),  # compilers of GPUs warn of their own affairs
]
B, T, D = 2, 1100, 128


def words(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(shape, device="cuda", dtype=dtype)


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ({"causal": True}, SDPBackend.FLASH_ATTENTION),
        ({}, SDPBackend.FLASH_ATTENTION),
        ({"seen": "random"}, SDPBackend.EFFICIENT_ATTENTION),
        ({"causal": True, "dtype": torch.float32}, SDPBackend.EFFICIENT_ATTENTION),
    ],
)
def test_a_kernel_takes_it(options: dict[str, Any], kernel: SDPBackend) -> None:
    options, dtype = dict(options), options.get("dtype", torch.bfloat16)
    options.pop("dtype", None)
    if "seen" in options:
        options["seen"] = torch.rand(B, 1, 128, 128, device="cuda") > 0.3
    q, k, v = (words(B, heads, 128, 64, dtype=dtype) for heads in (8, 2, 2))
    with sdpa_kernel(kernel):
        found = attend(q, k, v, **options)
    wanted = attend(*(x.cpu().double() for x in (q, k, v)), **_moved(options))
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=0.02, atol=0.02)


def _moved(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v.cpu() if isinstance(v, Tensor) else v for k, v in options.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"mask": Window(200)},
        {"scores": (Spec(SoftCap, cap=5.0),)},
        {"scores": (Spec(ALiBi),)},
        {"scores": (Spec(RelativeBias), Spec(SoftCap, cap=5.0)), "sinks": True},
    ],
    ids=str,
)
def test_attention_by_rules(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    block = GQAttention(D, heads=8, kv_heads=2, qk=(RoPE,), **options).cuda()
    x = words(B, T, D, dtype=torch.float32).requires_grad_()
    near = result(block, x)
    monkeypatch.setattr(gpu, "on", lambda x: False)
    close(near, result(block, x), 1e-2)


def test_experts_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    moe = MoE(D, experts=8, top_k=2, expert=Spec(GatedMLP, hidden=256)).cuda().bfloat16()
    x = words(B, T, D).requires_grad_()
    near = result(moe, x)
    monkeypatch.setattr(gpu, "multiplies_groups", lambda x: False)
    close(near, result(moe, x), 0.1)


@pytest.mark.parametrize("mask", [blocks.Causal(), Window(6)], ids=str)
def test_a_step_as_a_graph(mask: Any) -> None:
    first = model(blocks.replace(ATTENTION, mask=mask)).cuda()
    second = blocks.optimize(first)
    for room in (20, 20, 33):
        found = []
        for one in (second, first):
            with torch.no_grad():
                state = one.init_state(2, room)
                parts = TOKENS.cuda().split([5] + [1] * 7, 1)
                found.append(torch.cat([one(part, None, state) for part in parts], 1))
        torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-3)


def result(block: nn.Module, x: Tensor) -> list[Tensor]:
    y = block(x)
    return [y, *torch.autograd.grad(y.float().square().mean(), [x, *block.parameters()])]


def close(found: list[Tensor], wanted: list[Tensor], off: float) -> None:
    for mine, other in zip(found, wanted, strict=True):
        most = off * float(other.detach().float().square().mean().sqrt())
        torch.testing.assert_close(mine, other, rtol=0, atol=5 * most)
