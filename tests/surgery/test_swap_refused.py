"""Swaps that can't be: each is refused in words, and the old model is as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import blocks
from blocks import (
    MLP,
    CrossAttention,
    GQAttention,
    Linear,
    Pooler,
    RoPE,
    Spec,
    SpecError,
    addresses,
    swap,
)
from blocks.models.packing import pack_matrices, packable
from tests.surgery.small import (
    ATTENTION,
    logits,
    model,
)


def wrong_shape(old: GQAttention, new: GQAttention) -> Any:
    yield "k.weight", old.q.weight


def wrong_place(old: GQAttention, new: GQAttention) -> Any:
    yield "key.weight", old.k.weight


def wrong_part(old: GQAttention, new: GQAttention) -> Any:
    yield "keys", old.k


def no_line(old: GQAttention, new: GQAttention) -> Any:
    yield old.k


@pytest.mark.parametrize(
    ("where", "new", "rules", "said"),
    [
        ("layers.*.attn", ATTENTION, (), "nearest are layers.2.attention"),
        (CrossAttention, ATTENTION, (), "'CrossAttention'.*there are CausalLM"),
        (
            "layers.1.attention",
            RoPE,
            (),
            r"layers.1.attention: RoPE can't stand here.*\(16\).*heads",
        ),
        ("layers.1.mlp", Spec(Linear, out_dim=12), (), r"layers.1.mlp: .*12 wide, not 16"),
        ("layers.1.mlp", Pooler, (), r"gives \[1, 16\] where the old one gives \[1, 2, 16\]"),
        ("layers.0.attention.qk.1", Spec(MLP, hidden=3), (), r"slot of size \(4, 4, 2\)"),
        ("layers.1.attention", Spec(GQAttention, heads=5), (), "16 is not a multiple of heads 5"),
        ("layers.1.attention", 3, (), "new is a Spec"),
        ("layers.1.attention", lambda old: 3, (), "3"),
        ("head", None, (), "head"),
        ("", lambda old: blocks.at(old, "layers.0"), (), "can't stand here"),
        ("layers.1.attention", ATTENTION, (3,), "several functions"),
        ("layers.1.attention", ATTENTION, (lambda old, new: [],), "which pair"),
        ("layers.1.attention", ATTENTION, wrong_part, "several functions"),
        ("layers.1.attention", ATTENTION, None, "several functions"),
        ("layers.1.attention", nn.Identity(), (), "not a Identity"),
        ("layers.1.attention", ATTENTION, (wrong_shape,), r"wrong_shape gives \[16, 16\]"),
        ("layers.1.attention", ATTENTION, (wrong_place,), "there is nothing"),
        ("layers.1.attention", ATTENTION, (wrong_part,), "'keys'"),
        ("layers.1.attention", ATTENTION, (no_line,), "no place"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    where: Any, new: Any, rules: Any, said: str
) -> None:
    old = model()
    held = {place: tensor.clone() for place, tensor in addresses(old).items()}
    spec = old.spec
    with pytest.raises(SpecError, match=said):
        swap(old, where, new, rules=rules)
    assert old.spec == spec and not hasattr(old, "provenance")
    assert all(torch.equal(tensor, held[place]) for place, tensor in addresses(old).items())


def test_a_model_without_numbers_has_nothing_to_carry() -> None:
    with pytest.raises(SpecError, match="meta device"):
        swap(model().to("meta"), "layers.1.attention", ATTENTION)


def test_a_rule_cannot_change_the_old_model() -> None:
    def rude(old: GQAttention, new: GQAttention) -> Any:
        with torch.no_grad():
            old.q.bias = None
            old.k = None  # type: ignore[assignment]  # a rule is told to behave, and needn't
        yield "q", old.q

    old = model()
    before = logits(old)
    swap(old, "layers.1.attention", lambda a: a, rules=(rude,))
    assert torch.equal(logits(old), before)


@pytest.mark.parametrize("packed", [True, False])
def test_only_a_model_of_specs_and_numbers(packed: bool) -> None:
    one: Any = model() if packed else nn.Linear(2, 2)
    assert not packed or list(pack_matrices(one, packable(one, 8, smallest=1)))
    with pytest.raises(SpecError, match="optimize" if packed else "no spec"):
        swap(one, "layers.*.mlp", Spec(MLP, hidden=3))
