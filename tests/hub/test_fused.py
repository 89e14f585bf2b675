"""Fused tensors: cut by slab, by head or by group, transposed, and under optional prefixes."""

from __future__ import annotations

import pytest
import torch

from blocks import Join, Keys

SHAPES = [(8, 3), (4, 3), (4, 3)]  # four query heads and two key heads of width two


def parts() -> list[torch.Tensor]:
    return [torch.arange(a * b).view(a, b).float() + 100 * n for n, (a, b) in enumerate(SHAPES)]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_cut_and_joined(groups: int, transposed: bool) -> None:
    rule = Join("qkv", ("q", "k", "v"), groups=groups, transposed=transposed)
    theirs = rule.save(parts())
    assert tuple(theirs.shape) == rule.shape(SHAPES) == ((3, 16) if transposed else (16, 3))
    again = rule.load(theirs, SHAPES)
    assert all(torch.equal(a, b) for a, b in zip(again, parts(), strict=True))


def test_each_group_has_its_queries_then_its_key_and_value() -> None:
    q, k, v = parts()
    theirs = Join("qkv", ("q", "k", "v"), groups=2).save([q, k, v])
    assert torch.equal(theirs[:8], torch.cat([q[:4], k[:2], v[:2]]))


def test_biases_are_never_transposed() -> None:
    rule = Join("qkv", ("q", "k", "v"), transposed=True)
    biases = [part[:, 0] for part in parts()]
    assert rule.save(biases).shape == (16,)
    assert torch.equal(rule.load(rule.save(biases), [(8,), (4,), (4,)])[0], biases[0])


def test_a_prefix_may_be_missing() -> None:
    keys = Keys(("model.up.{w}", "up.{w}"), ignore=("model.mask",), optional="model.")
    assert keys.chosen(["up.weight"])[0].theirs == "model.up.weight"
    assert keys.chosen(["up.weight"], {"up.weight": None})[0].theirs == "up.weight"
    assert keys.ignored("mask") and keys.ignored("model.mask")
