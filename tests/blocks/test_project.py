"""The quicker way through a linear layer gives what the layer gives, and stays out of the way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from blocks import Mamba, Mamba2
from blocks.ops.project import project


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_convolution_of_one_place_is_the_layer(batch: int, bias: bool) -> None:
    layer, x = nn.Linear(24, 40, bias=bias), torch.randn(batch, 100, 24)
    wanted = layer(x)
    with torch.no_grad():
        found = project(layer, x)
    assert found.is_contiguous()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_gradients_go_through_the_layer() -> None:
    layer, x = nn.Linear(4, 4), torch.randn(1, 100, 4)
    assert torch.equal(project(layer, x), layer(x))
    assert project(layer, x).requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_other_dtypes_go_through_the_layer(dtype: torch.dtype) -> None:
    layer, x = nn.Linear(4, 4).to(dtype), torch.randn(1, 100, 4).to(dtype)
    assert torch.equal(project(layer, x), layer(x))


@torch.no_grad()
def test_hooks_and_other_layers_are_not_passed_by() -> None:
    seen: list[torch.Tensor] = []
    layer, x = nn.Linear(4, 4), torch.randn(1, 100, 4)
    layer.register_forward_hook(lambda module, given, out: seen.append(out))
    assert torch.equal(project(layer, x), seen[0])
    assert torch.equal(project(nn.Identity(), x), x)


@pytest.mark.parametrize("mixer", [Mamba(16), Mamba2(16, heads=2, head_dim=8, state_dim=4)])
def test_long_texts_through_a_mixer(mixer: nn.Module) -> None:
    x = torch.randn(2, 130, 16)
    wanted = mixer(x)
    with torch.no_grad():
        torch.testing.assert_close(mixer(x), wanted, atol=1e-5, rtol=1e-4)
