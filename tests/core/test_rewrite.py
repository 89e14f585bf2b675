"""rewrite, walk, at: one edit reaches every place that is meant and no other."""

from __future__ import annotations

from typing import Any

import pytest

from blocks import (
    MLP,
    CausalLM,
    Chain,
    Full,
    GatedMLP,
    GQAttention,
    LayerNorm,
    MoE,
    Parallel,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Window,
    addresses,
    at,
    find,
    replace,
    rewrite,
    walk,
)
from blocks.edit import matches

ATTENTION = Spec(GQAttention, heads=2, qk=(Spec(RoPE, theta=10.0),))
LAYER = Spec(
    Chain,
    steps={
        "attention": Spec(Residual, inner=ATTENTION, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(MLP, hidden=8), norm_in=RMSNorm),
    },
)
MODEL = Spec(CausalLM, vocab=11, dim=8, layers=(LAYER,) * 3, norm=RMSNorm)


def places(spec: Any, block: type) -> list[str]:
    return [address for address, part in walk(spec) if part.func is block]


def test_walk_names_every_part_parents_first() -> None:
    found = [address for address, _ in walk(replace(MODEL, layers=(LAYER,)))]
    assert found == [
        "",
        "layers.0",
        "layers.0.attention",
        "layers.0.attention",
        "layers.0.attention.qk.0",
        "layers.0.attention.norm_in",
        "layers.0.mlp",
        "layers.0.mlp",
        "layers.0.mlp.norm_in",
        "norm",
        "embedding",
        "head",
    ]


def test_the_addresses_of_a_spec_are_those_of_its_module() -> None:
    model = MODEL()
    for address, part in walk(MODEL):
        if part.func is not Residual:
            assert type(find(model, address)) is part.func, address
    prefixes = {place.rpartition(".")[0] for place in addresses(model)}
    assert {"layers.1.attention.q", "layers.2.mlp.norm_in", "embedding"} <= prefixes
    assert not any("inner" in place for place in addresses(model))


def test_at_gives_the_block_itself() -> None:
    assert at(MODEL, "layers.1.mlp") == Spec(MLP, hidden=8)
    assert at(MODEL, "layers.1.attention.qk.0").keywords["theta"] == 10.0
    assert at(MODEL, "") == MODEL
    with pytest.raises(SpecError, match="layers.1.mlp") as caught:
        at(MODEL, "layers.1.mpl")
    assert caught.value.field == "layers.1.mpl"


def test_by_block() -> None:
    new = rewrite(MODEL, MLP, Spec(GatedMLP, hidden=4))
    assert places(new, GatedMLP) == [f"layers.{i}.mlp" for i in range(3)] and not places(new, MLP)
    assert places(new, RMSNorm) == places(MODEL, RMSNorm), "the Residual and its norms stay"
    assert places(MODEL, MLP), "the old spec is as it was"


def test_by_path() -> None:
    new = rewrite(MODEL, "layers.1.mlp", Spec(GatedMLP, hidden=4))
    assert places(new, GatedMLP) == ["layers.1.mlp"]
    new = rewrite(MODEL, "layers.[02].attention.norm_in", LayerNorm)
    assert places(new, LayerNorm) == [f"layers.{i}.attention.norm_in" for i in (0, 2)]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("layers.*.attention", 3),
        ("**.attention", 3),
        ("**.norm_in", 6),
        ("**.qk.*", 3),
        ("layers.**.norm_in", 6),
        ("layers.*.*.norm_in", 6),
        ("**.norm*", 7),
        ("norm", 1),
        ("layers.?.mlp", 3),
    ],
)
def test_wildcards(pattern: str, count: int) -> None:
    hits: list[Any] = []
    rewrite(MODEL, pattern, lambda old: hits.append(old) or old)
    assert len(hits) == count


def test_patterns_are_whole_segments() -> None:
    assert matches("a.b.c", "**") and matches("a.b.c", "a.**") and matches("a", "**.a")
    assert matches("a.b.c", "a.*.c") and not matches("a.b.c", "a.*")
    assert not matches("layers.10.mlp", "layers.1.mlp") and not matches("a.b", "b")


def test_by_a_function_of_the_old_spec() -> None:
    new = rewrite(MODEL, GQAttention, lambda old: replace(old, mask=Window(4)))
    assert all(
        part.keywords["mask"] == Window(4) for _, part in walk(new) if part.func is GQAttention
    )
    new = rewrite(MODEL, MLP, lambda old: Spec(MoE, experts=2, top_k=1, expert=old))
    assert places(new, MLP) == [f"layers.{i}.mlp.expert" for i in range(3)]


def test_none_takes_parts_out() -> None:
    new = rewrite(MODEL, RoPE, None)
    assert at(new, "layers.0.attention").keywords["qk"] == ()
    assert rewrite(MODEL, "norm", None).keywords["norm"] is None
    assert at(rewrite(MODEL, "layers.*.mlp.norm_in", None), "layers.0.attention.norm_in")
    assert len(rewrite(MODEL, "layers.1", None).keywords["layers"]) == 2
    with pytest.raises(SpecError):
        rewrite(MODEL, "head", None)  # a model has one
    with pytest.raises(SpecError):
        rewrite(MODEL, MLP, None)  # a Residual wraps something


def test_a_wrapper_is_reached_by_its_class() -> None:
    new = rewrite(MODEL, Residual, lambda old: replace(old, scale=0.5))
    assert (
        sum(part.func is Residual and part.keywords["scale"] == 0.5 for _, part in walk(new)) == 6
    )
    inner = rewrite(MODEL, Residual, lambda old: old.keywords["inner"])
    assert not places(inner, Residual) and not places(inner, RMSNorm)[1:]


def test_the_whole_can_be_exchanged() -> None:
    assert rewrite(LAYER, Chain, Spec(MLP, hidden=3)) == Spec(MLP, hidden=3)
    assert rewrite(MODEL, CausalLM, lambda old: replace(old, vocab=5)).keywords["vocab"] == 5


@pytest.mark.parametrize(
    ("where", "near"),
    [("layers.*.mpl", "mlp"), ("layers.7.mlp", "layers.0.mlp"), ("layers.*.atention", "attention")],
)
def test_nothing_matches(where: str, near: str) -> None:
    with pytest.raises(SpecError, match=near) as caught:
        rewrite(MODEL, where, None)
    assert where in str(caught.value)


def test_no_such_block() -> None:
    with pytest.raises(SpecError, match="Parallel"):
        rewrite(MODEL, Parallel, None)


@pytest.mark.parametrize("where", [None, 3, Spec(MLP, hidden=8), Full()])
def test_where_is_a_class_or_an_address(where: Any) -> None:
    with pytest.raises(SpecError, match="where"):
        rewrite(MODEL, where, None)


@pytest.mark.parametrize("new", [3, "MLP", lambda old: 3])
def test_new_is_a_spec_a_class_or_a_function(new: Any) -> None:
    with pytest.raises(SpecError):
        rewrite(MODEL, MLP, new)


def test_the_result_is_checked() -> None:
    with pytest.raises(SpecError, match="hiden"):
        rewrite(MODEL, MLP, lambda old: Spec(MLP, hiden=3))
    with pytest.raises(SpecError, match="address"):
        rewrite(MODEL, MLP, Spec(Chain, steps={"norm_in": RMSNorm}))
