"""Gradients of every public block are those of finite differences, and so are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import BlocksError, Mamba, flash_attend
from blocks.testing.gradients import check_gradients
from blocks.testing.subject import Subject
from tests.blocks.table import TABLE, build, public_blocks
from tests.blocks.values import VALUES

MANY = 3000  # parameters: beyond, they are checked along random directions, each part on its own
# Those whose gradients take something that they compute as given have others on purpose.
TRUE = [name for name in public_blocks() if TABLE[name].checks.get("gradients", True)]
ONCE = {"Mamba": "the gradient of its scan is written by hand"}


def subject(name: str, /, **options: Any) -> Subject:
    small = TABLE[name]
    wide = small.checks.get("wide", False)
    return Subject.of(build(name, **options), small.x(), small.shape, wide)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUE)
def test_each_number_with_each(name: str) -> None:
    it = subject(name)
    count = sum(p.numel() for p in it.module.parameters())
    for seed in range(1 if count <= MANY else 5):
        torch.manual_seed(seed)
        check_gradients(it, fast=count > MANY)


def other(name: str, option: str) -> dict[str, Any]:
    value = VALUES[name][option]
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        return {**value[1], option: value[0]}
    return {option: value}


# What they say is what an input looks like, and these would need another one.
READ = {"FrameEncoder.channels", "JoinedEmbedding.count", "PatchEmbedding.channels"}
READ |= {"PatchEmbedding.patch", "Resized.width", "Attending.reads", "Load.width"}
READ |= {"SkipStack.reads"}
KNOBS = [
    pytest.param(name, option, id=f"{name}.{option}", marks=[pytest.mark.slow] if n > 1 else [])
    for name in TRUE
    for n, option in enumerate(sorted(VALUES.get(name, ())))
    if f"{name}.{option}" not in READ
]


@pytest.mark.parametrize(("name", "option"), KNOBS)
def test_with_another_option(name: str, option: str) -> None:
    check_gradients(subject(name, **other(name, option)))


# Whole models take longer, and have nothing that their parts have not.
TWICE = [
    pytest.param(name, marks=[] if TABLE[name].sizes else [pytest.mark.slow])
    for name in TRUE
    if name not in ONCE
]


@pytest.mark.parametrize("name", TWICE)
def test_gradients_of_gradients(name: str) -> None:
    check_gradients(subject(name), second=True)


def mixed(x: Tensor) -> Tensor:
    """A scan beside what can be differentiated twice."""
    return Mamba(4, state_dim=3).double()(x) + x**3


def attended(x: Tensor) -> Tensor:
    return flash_attend(x, x, x) + x**3


@pytest.mark.parametrize(("call", "shape"), [(mixed, (1, 3, 4)), (attended, (1, 2, 3, 4))])
@pytest.mark.parametrize("pulled", [False, True], ids=["sum", "weighted"])
def test_a_second_derivative_that_is_missing_is_no_zero(
    call: Any, shape: tuple[int, ...], pulled: bool
) -> None:
    x = torch.randn(shape).double().requires_grad_()
    weight = torch.randn(shape).double().requires_grad_(pulled)
    (grad,) = torch.autograd.grad((call(x) * weight).sum(), x, create_graph=True)
    with pytest.raises(BlocksError, match="has no second derivative"):
        torch.autograd.grad(grad.sum(), x)
