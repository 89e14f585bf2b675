"""Matrices as products of two smaller ones: what is lost, saved and shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import blocks
from blocks.models.places import find
from tests.surgery.test_adapt import TOKENS, logits, model

_KINDS = ("weight", "bias")


@pytest.mark.parametrize("wide", [False, True])
def test_factors_are_the_nearest_there_are(wide: bool) -> None:
    """Eckart and Young: what is lost is the root of the sum of the squares of what is cut off."""
    base = model().double()
    names = ("layers.0.mlp.down" if wide else "layers.1.attention.k", "layers.1.mlp.up")
    small, report = blocks.factorise(base, names, rank=5)
    assert [one.address for one in report.matrices] == list(names)
    for one in report.matrices:
        w = find(base, one.address).weight.detach()
        found = find(small, one.address).weight.detach()
        singular = torch.linalg.svdvals(w)
        assert abs(float((w - found).norm()) - one.error) < 1e-9
        assert abs(float(singular[5:].norm()) - one.error) < 1e-9
        assert torch.linalg.matrix_rank(found) == 5
        other = w + torch.randn_like(w) * 0.01
        u, s, v = torch.linalg.svd(other, full_matrices=False)
        assert (w - (u[:, :5] * s[:5]) @ v[:5]).norm() > one.error  # another is further off
    sizes = [find(base, name).weight.shape for name in names]
    assert report.after == sum(5 * sum(size) for size in sizes)
    saved = sum(p.numel() for p in base.parameters()) - sum(p.numel() for p in small.parameters())
    assert saved == report.before - report.after
    assert (
        str(report).splitlines()[-1].startswith("all") and report.to_json()["after"] == report.after
    )


def test_full_rank_changes_nothing_but_roundings(tmp_path: Any) -> None:
    base = model().double()
    full, _ = blocks.factorise(base, ("q", "k", "mlp.*"), energy=1.0)
    assert torch.allclose(logits(full), logits(base), atol=1e-9)
    some, less = blocks.factorise(base, ("mlp.*",), energy=0.8)
    for one in less.matrices:
        s = torch.linalg.svdvals(find(base, one.address).weight.detach()).square()
        kept = s.cumsum(0) / s.sum()
        assert kept[one.rank - 1] >= 0.8 > (kept[one.rank - 2] if one.rank > 1 else 0)
        assert one.share == pytest.approx(float((1 - kept[one.rank - 1]).sqrt()), rel=1e-6)
    blocks.save_pretrained(some, tmp_path)
    again = blocks.from_pretrained(tmp_path)
    assert torch.allclose(logits(again), logits(some), atol=1e-12) and again.spec == some.spec


def test_a_matrix_that_two_layers_share_has_shared_factors() -> None:
    ties = [(f"layers.1.attention.q.{kind}", f"layers.0.attention.q.{kind}") for kind in _KINDS]
    both, report = blocks.factorise(model(ties=tuple(ties)), ("q",), rank=3)
    first, second = (both.layers[i].attention.inner.inner.q for i in (0, 1))
    assert first.a.weight is second.a.weight and first.b.bias is second.b.bias
    assert len(report.matrices) == 2
    one, _ = blocks.factorise(model(ties=tuple(ties)), ("layers.1.attention.q",), rank=3)
    assert one.spec.keywords["ties"] == (), "one alone is no other's any more"


def test_what_was_factored_learns_again() -> None:
    base = model()
    small, _ = blocks.factorise(base, ("mlp.*",), rank=2)
    optimiser = torch.optim.Adam(small.parameters(), lr=0.01)
    losses = []
    for _ in range(8):
        loss = blocks.next_token_loss(small, TOKENS)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
