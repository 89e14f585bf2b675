"""Rules that a caller hands in: what they can do, and their mistakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blocks import (
    MLP,
    GatedMLP,
    GQAttention,
    RoPE,
    Spec,
    swap,
)
from tests.surgery.small import (
    TOKENS,
    logits,
    model,
    of,
)


def forgetful(old: GQAttention, new: GQAttention) -> Any:
    yield "q", old.q
    yield "k", old.k
    yield "out", old.out


def exchanged(old: GQAttention, new: GQAttention) -> Any:
    yield "", old
    yield "k", old.v, "taken from the wrong matrix"


def detached(old: GQAttention, new: GQAttention) -> Any:
    yield "", old
    yield "q.weight", old.q.weight.detach().clone()


def zeroed(old: GQAttention, new: GQAttention) -> Any:
    yield "", old
    yield "v.weight", old.v.weight * 0, "times nothing"


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (forgetful, ["new ", "dropped ", "layers.1.attention.v.weight"]),
        (exchanged, ["dropped  layers.1.attention.k.weight", "taken from the wrong matrix"]),
        (
            detached,
            ["new      layers.1.attention.q.weight", "dropped  layers.1.attention.q.weight"],
        ),
        (zeroed, ["converted  layers.1.attention.v.weight", "times nothing"]),
    ],
)
def test_a_planted_mistake_shows(rule: Any, shown: list[str]) -> None:
    old = model()
    new, report = swap(old, "layers.1.attention", lambda a: a, rules=(rule,), probe=TOKENS)
    assert all(text in str(report) for text in shown), str(report)
    assert report.change is not None and (report.change.largest > 0.01) == (rule is not detached)
    assert {place.split(".")[1] for place in of(report.new + report.dropped)} <= {"1"}
    assert new.spec == old.spec


def test_what_no_rule_sees_shows_in_the_logits() -> None:
    _, report = swap(model(), RoPE, Spec(RoPE, theta=20.0), probe=TOKENS)
    assert not (report.converted or report.new or report.dropped)
    assert report.change is not None and report.change.mean > 0.001


def test_a_rule_gets_the_new_blocks_own_numbers() -> None:
    def half(old: GatedMLP, new: GatedMLP, fresh: Any) -> Any:
        drawn = fresh("up.weight")
        assert drawn.shape == new.up.weight.shape and drawn.std() > 0 and new.up.weight.is_meta
        yield "", old
        yield "up.weight", (old.up.weight + drawn) / 2, "halfway to a fresh one"

    torch.manual_seed(1)
    one, report = swap(model(), "layers.0.mlp", lambda m: m, rules=(half,))
    assert [(fate.address, fate.words) for fate in report.converted] == [
        ("layers.0.mlp.up.weight", "halfway to a fresh one")
    ]
    torch.manual_seed(1)
    assert torch.equal(
        logits(one), logits(swap(model(), "layers.0.mlp", lambda m: m, rules=(half,))[0])
    )


class Doubled(nn.Module):
    """A block of one's own."""

    def __init__(self, dim: int, *, hidden: int):
        super().__init__()
        self.up, self.down = nn.Linear(dim, hidden, bias=False), nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.down(torch.relu(self.up(x)))


def halved(old: GatedMLP | MLP, new: Doubled) -> Any:
    yield "up", old.up
    yield "down.weight", old.down.weight / 2, "half, for it is doubled"


def test_ones_own_block_with_and_without_a_rule() -> None:
    spec = Spec(Doubled, hidden=24)
    plain, report = swap(model(), "layers.*.mlp", spec)
    assert not report.new and not report.converted, "the same names and shapes go over"
    ruled, report = swap(model(), "layers.*.mlp", spec, rules=(halved,))
    assert {fate.words for fate in report.converted} == {"half, for it is doubled"}
    assert not torch.allclose(logits(plain), logits(ruled))
