"""Taps that one place saves and another loads, and matrices with a small one added."""

from __future__ import annotations

import pytest
import torch

from blocks import (
    CausalLM,
    Chain,
    CrossAttention,
    GatedMLP,
    GQAttention,
    Linear,
    Load,
    LowRank,
    Mamba,
    Residual,
    RMSNorm,
    Save,
    Spec,
    SpecError,
    State,
    Step,
    addresses,
)

WIDE = Spec(GQAttention, heads=4, out_dim=8)


def again(name: str = "embedding", **options: object) -> Spec:
    """A model whose layers read the embedding once more, beside what the layers before made."""
    load = Spec(Load, name=name, inner=WIDE, **options)
    layer = Spec(Chain, steps={"attention": Spec(Residual, inner=load)})
    return Spec(
        CausalLM,
        vocab=20,
        dim=8,
        layers=(layer,) * 2,
        norm=RMSNorm,
        stem=Spec(Save, name="embedding"),
    )


def test_a_layer_reads_the_embedding_once_more() -> None:
    model, tokens = again()(), torch.randint(20, (2, 6))
    x = e = model.embedding(tokens)
    for layer in model.layers:
        x = x + layer.attention.inner.inner(torch.cat((x, e), -1))
    assert torch.allclose(model(tokens), model.head(model.norm(x)), atol=1e-6)


def test_what_is_saved_is_of_one_call() -> None:
    model, tokens = again()().double(), torch.randint(20, (2, 9))
    state = model.init_state(2)
    parts = [model(part, state=state) for part in tokens.split([4, 1, 4], 1)]
    assert torch.allclose(torch.cat(parts, 1), model(tokens), atol=1e-12)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, :3] = False
    alone = model(tokens[:1, 3:])
    assert torch.allclose(model(tokens, mask)[:1, 3:], alone, atol=1e-12)


@pytest.mark.parametrize(("merge", "wanted"), [("sum", lambda x, s: x + s), ("product", torch.mul)])
def test_other_merges(merge, wanted) -> None:
    x, s = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    step = Step.plain(x)
    Save(8, name="skip")(s, step)
    assert torch.equal(Load(8, name="skip", merge=merge)(x, step), wanted(x, s))


def test_the_later_of_two_counts_and_gradients_reach_it() -> None:
    x = torch.randn(2, 3, 8)
    first, second = (torch.randn(2, 3, 8, requires_grad=True) for _ in range(2))
    step = Step.plain(x)
    for saved in (first, second):
        Save(8, name="skip")(saved, step)
    Load(8, name="skip")(x, step).sum().backward()
    assert first.grad is None and second.grad is not None and bool((second.grad == 1).all())


def test_what_was_never_saved() -> None:
    with pytest.raises(SpecError, match="nothing is saved as 'skips'"):
        again("skips")()(torch.tensor([[1, 2]]))


def test_what_was_saved_of_another_shape() -> None:
    x = torch.randn(2, 3, 8)
    step = Step.plain(x)
    Save(8, name="skip")(x[:, :2], step)
    with pytest.raises(SpecError, match=r"\[2, 2, 8\]"):
        Load(8, name="skip")(x, step)
    with pytest.raises(SpecError, match="the sum of 8 and 4 channels"):
        Load(8, name="skip", merge="sum", width=4)


def test_a_low_rank_starts_as_what_it_is_added_to() -> None:
    torch.manual_seed(0)
    plain = Spec(GatedMLP, hidden=12, bias=True)(8)
    torch.manual_seed(0)
    block, x = (
        LowRank(8, inner=Spec(GatedMLP, hidden=12, bias=True), on=("gate",), rank=2),
        torch.randn(3, 8),
    )
    assert torch.equal(block(x), plain(x))
    assert {"gate.weight", "gate.bias", "gate.a.weight", "gate.b.weight"} <= set(addresses(block))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_low_rank_is_the_sum_of_matrices(scale: float) -> None:
    block = LowRank(
        8, inner=Spec(GQAttention, heads=2), on=("q", "out"), rank=3, scale=scale
    ).double()
    merged, x = GQAttention(8, heads=2).double(), torch.randn(2, 5, 8, dtype=torch.float64)
    with torch.no_grad():
        for name, matrix in merged.named_children():
            part = block.inner.get_submodule(name)
            if isinstance(matrix, torch.nn.Linear):
                matrix.weight.copy_(part.weight)
            if name in ("q", "out"):
                part.b.weight.normal_()
                matrix.weight.add_(scale * part.b.weight @ part.a.weight)
    assert torch.allclose(block(x), merged(x), atol=1e-12)
    state = State.of(block, batch=2)
    parts = [state.run(block, part) for part in x.split([2, 3], 1)]
    assert torch.allclose(torch.cat(parts, 1), merged(x), atol=1e-12)


def test_layers_share_a_matrix_and_not_what_is_added() -> None:
    inner = Spec(LowRank, inner=Spec(GatedMLP, hidden=12), on=("up",), rank=2)
    layer = Spec(Chain, steps={"mlp": Spec(Residual, inner=inner)})
    ties = (("layers.1.mlp.up.weight", "layers.0.mlp.up.weight"),)
    model = CausalLM(vocab=20, dim=8, layers=(layer,) * 2, norm=None, ties=ties)
    found = addresses(model)
    assert found["layers.1.mlp.up.weight"] is found["layers.0.mlp.up.weight"]
    assert found["layers.1.mlp.up.a.weight"] is not found["layers.0.mlp.up.a.weight"]


@pytest.mark.parametrize(
    ("inner", "name"),
    [
        (Spec(GatedMLP, hidden=12), "gates"),
        (Spec(Mamba), "conv"),
        (Spec(CrossAttention, heads=2), ""),
    ],
)
def test_a_matrix_that_is_not_there(inner: Spec, name: str) -> None:
    with pytest.raises(SpecError, match=f"no matrix '{name}'"):
        LowRank(8, inner=inner, on=(name,), rank=2)


def test_a_plain_matrix_may_have_one_too() -> None:
    inner = Spec(Chain, steps={"first": Spec(Linear), "second": Spec(Linear)})
    block = LowRank(8, inner=inner, on=("second",), rank=2)
    assert block(torch.randn(2, 3, 8)).shape == (2, 3, 8)
