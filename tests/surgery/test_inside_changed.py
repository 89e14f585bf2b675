"""patch and ablate: what they change, and that it is no more and no less than that."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import blocks
from blocks import Chain, GatedMLP, Spec
from tests.surgery.hybrids import ATTENTION, TOKENS, hooks, hybrid_model, layer, model_of, normed


@pytest.fixture(scope="module")
def hybrid() -> Any:
    return hybrid_model()


def test_a_patch_acts_and_is_seen(hybrid: Any) -> None:
    plain = hybrid(TOKENS)
    zero = {"layers.0.attention.pattern": torch.zeros(())}
    with blocks.capture(hybrid, "layers.0.attention.*") as got, blocks.patch(hybrid, zero):
        changed = hybrid(TOKENS)
    assert not got["layers.0.attention.pattern"].any() and not got["layers.0.attention.out"].any()
    with blocks.ablate(hybrid, "layers.0.attention"):
        assert torch.equal(hybrid(TOKENS), changed)
    twice = {"layers.0.mlp.out": lambda x: 2 * x}
    with blocks.patch(hybrid, twice), blocks.patch(hybrid, {"layers.0.mlp.out": lambda x: x / 2}):
        assert torch.equal(hybrid(TOKENS), plain)
    assert torch.equal(hybrid(TOKENS), plain) and not hooks(hybrid)


@pytest.mark.parametrize("part", ["q", "k", "v", "pattern", "heads", "in", "out", "before"])
def test_every_part_can_be_patched(hybrid: Any, part: str) -> None:
    """What another text made of them makes the block say what it said there."""
    name, other = f"layers.0.attention.{part}", TOKENS.flip(1)
    with blocks.capture(hybrid, f"layers.0.attention.{part}") as got:
        hybrid(other)
    with blocks.patch(hybrid, {name: got[name]}), blocks.capture(hybrid, "**.out") as there:
        hybrid(TOKENS)
    with blocks.capture(hybrid, "**.out") as plain:
        hybrid(TOKENS)
    assert not torch.equal(there["layers.0.attention.out"], plain["layers.0.attention.out"])
    if part in ("in", "out", "before", "heads"):
        with blocks.capture(hybrid, "**.out") as away:
            hybrid(other)
        assert torch.equal(there["layers.0.attention.out"], away["layers.0.attention.out"])


@pytest.mark.parametrize("part", ["u", "dt", "b", "c"])
def test_a_recurrence_can_be_patched(hybrid: Any, part: str) -> None:
    with blocks.patch(hybrid, {f"layers.2.mixer.{part}": lambda x: x * 0.5}):
        changed = hybrid(TOKENS)
    assert not torch.equal(hybrid(TOKENS), changed)


def test_a_head_without_its_columns(hybrid: Any) -> None:
    with blocks.ablate(hybrid, "layers.0.attention", heads=[1, 3]):
        without = hybrid(TOKENS)
    weight = hybrid.layers[0].attention.inner.out.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.view(16, 4, 4)[:, [1, 3]] = 0
    torch.testing.assert_close(hybrid(TOKENS), without)
    with torch.no_grad():
        weight.copy_(kept)


def test_means_of_this_call_and_of_others(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.attention.heads", every=True) as got:
        hybrid(TOKENS)
        hybrid(TOKENS[:1, :2])
    name = "layers.0.attention.heads"
    flat = torch.cat([x.transpose(1, 2).flatten(0, 1) for x in got[name]])  # N H V
    with (
        blocks.capture(hybrid, name) as seen,
        blocks.ablate(hybrid, "layers.0.attention", heads=[2], to=got),
    ):
        hybrid(TOKENS)
    torch.testing.assert_close(seen[name][0, 2, 4], flat.mean(0)[2])
    torch.testing.assert_close(seen[name][:, :2], got[name][0][:, :2])
    with (
        blocks.capture(hybrid, "layers.0.mlp.out") as seen,
        blocks.ablate(hybrid, "layers.*.mlp", to="mean"),
    ):
        hybrid(TOKENS)
    assert torch.equal(seen["layers.0.mlp.out"][0, 0], seen["layers.0.mlp.out"][1, 5])


def test_routing_is_seen_and_changed() -> None:
    moe = Spec(blocks.MoE, experts=4, top_k=2, expert=Spec(GatedMLP, hidden=8))
    model = model_of(Spec(Chain, steps={"attention": normed(ATTENTION), "mlp": normed(moe)}))
    with blocks.capture(model, "layers.0.mlp.*") as got:
        plain = model(TOKENS)
    routing = got["layers.0.mlp.routing"]
    block, x = model.layers[0].mlp.inner, got["layers.0.mlp.in"]
    weights, chosen = block.router(x.flatten(0, 1))
    assert torch.equal(routing.flatten(0, 1).gather(1, chosen), weights)
    assert ((routing != 0).sum(-1) == 2).all()
    every = sum(routing[..., i, None] * expert(x) for i, expert in enumerate(block.experts))
    torch.testing.assert_close(got["layers.0.mlp.out"], every)
    with blocks.patch(model, {"layers.0.mlp.routing": routing}):
        assert torch.equal(model(TOKENS), plain)
    with (
        blocks.patch(model, {"layers.0.mlp.routing": torch.full((4,), 0.25)}),
        blocks.capture(model, "layers.0.mlp.out") as got,
    ):
        model(TOKENS)
    mean = sum(expert(x) for expert in block.experts) / 4
    torch.testing.assert_close(got["layers.0.mlp.out"], mean)


def test_checkpointed_layers_are_seen_once() -> None:
    model = model_of(*[Spec(blocks.Checkpointed, inner=layer(ATTENTION))] * 2)
    double = {"layers.0.attention.out": lambda x: 2 * x}
    with blocks.patch(model, double):
        loss = model(TOKENS).square().sum()
    loss.backward()  # when the hooks are gone
    found = model.layers[0].inner.mlp.inner.up.weight.grad.clone()
    model.zero_grad()
    with blocks.patch(model, double), blocks.capture(model, "layers.1.after") as got:
        model(TOKENS).square().sum().backward()
    assert torch.equal(model.layers[0].inner.mlp.inner.up.weight.grad, found)
    assert got.calls == {"layers.1.after": 1}
