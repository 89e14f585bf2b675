"""Experts multiplied together, as on a GPU, give what they give one by one."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blocks import MLP, ClampedGLU, GatedMLP, MoE, Spec
from blocks.moe import alike
from blocks.ops import gpu, grouped
from blocks.ops.dispatch import dispatch
from blocks.ops.graphs import graph_of

B, T, D, F, X = 2, 24, 16, 32, 4


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks compute as on a GPU; how many rows each grouped product had."""
    found: list[int] = []

    def noting(rows: Tensor, *args: Any, **how: Any) -> Tensor:
        found.append(len(rows))
        return of_torch(rows, *args, **how)

    of_torch = grouped.F.grouped_mm
    monkeypatch.setattr(grouped.F, "grouped_mm", noting)
    monkeypatch.setattr(grouped, "MANY", 1)
    monkeypatch.setattr(gpu, "multiplies_groups", lambda x: True)
    return found


def mixture(expert: Any, **options: Any) -> MoE:
    moe = MoE(D, experts=X, top_k=2, expert=expert, **options)
    for parameter in moe.parameters():
        nn.init.normal_(parameter, std=0.3)
    return moe


EXPERTS = {
    "gated": Spec(GatedMLP, hidden=F),
    "gelu and biases": Spec(GatedMLP, hidden=F, act="gelu", bias=True),
    "clamped": Spec(ClampedGLU, hidden=F, bias=True),
}


@pytest.mark.parametrize("expert", EXPERTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("names", [range(X), [0, 3]], ids=["all", "some without tokens"])
def test_the_same(expert: str, dtype: torch.dtype, names: Any, calls: Any) -> None:
    experts: Any = mixture(EXPERTS[expert]).to(dtype).experts
    x, weights = torch.randn(B * T, D), torch.rand(B * T, 2)
    chosen = torch.stack([torch.tensor(names)[torch.randperm(len(names))[:2]] for _ in x])
    leaves = [x.to(dtype).requires_grad_(), weights.to(dtype).requires_grad_()]
    found = []
    for path in (alike.mixed, dispatch):
        y = path(*leaves, chosen, experts)
        every = [*leaves, *experts.parameters()]
        found.append([y, *torch.autograd.grad(y.square().sum(), every, materialize_grads=True)])
    assert calls == [2 * B * T] * 3
    off = 1e-5 if dtype == torch.float32 else 0.3
    for mine, wanted in zip(*found, strict=True):
        most = off * float(wanted.detach().float().square().mean().sqrt())
        torch.testing.assert_close(mine, wanted, rtol=0, atol=most)


def test_as_one_graph(calls: Any) -> None:
    moe, x = mixture(EXPERTS["gated"]).bfloat16(), torch.randn(B, T, D).bfloat16()
    graph: Any = torch.compile(moe, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(x), moe(x))
    assert len(calls) == 6, "nothing in it asks the device for a number"


class Other(GatedMLP):
    """An MLP that is computed in another way."""


def test_what_runs_one_by_one(calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def together(moe: MoE, x: Tensor) -> bool:
        calls.clear()
        moe(x)
        return bool(calls)

    x = torch.randn(B, T, D)
    plain = mixture(EXPERTS["gated"])
    assert together(plain, x)
    assert not together(mixture(Spec(MLP, hidden=F)), x)
    assert not together(mixture(Spec(Other, hidden=F)), x)
    assert not together(mixture(Spec(GatedMLP, hidden=F + 4)), x), "rows that are not aligned"
    other = mixture(EXPERTS["gated"])
    other.experts[2] = GatedMLP(D, hidden=2 * F)
    assert not together(other, x), "another shape"
    other.experts[2] = GatedMLP(D, hidden=F, act="gelu")
    assert not together(other, x), "another activation"
    heard = mixture(EXPERTS["gated"])
    heard.experts[1].up.register_forward_hook(lambda *seen: None)
    assert not together(heard, x), "somebody wants to see a matrix's calls"
    monkeypatch.setattr(grouped, "MANY", B * T)
    assert not together(plain, x), "few rows don't repay laying matrices side by side"


@pytest.mark.parametrize(
    ("generation", "together"), [(8, False), (9, True), (10, True), (12, False)]
)
def test_the_device_decides(
    generation: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def capability(device: torch.device) -> tuple[int, int]:
        with open(os.devnull):  # no graph can do this, so none asks
            return generation, 0

    x = torch.zeros(1, dtype=torch.bfloat16)
    assert not gpu.multiplies_groups(x)
    monkeypatch.setattr(gpu, "on", lambda x: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    assert gpu.multiplies_groups(x) == together and not gpu.multiplies_groups(x.float())
    graph = graph_of(lambda x: x + gpu.multiplies_groups(x), fullgraph=True, backend="eager")
    assert graph(x).item() == together
