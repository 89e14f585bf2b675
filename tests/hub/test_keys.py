"""Keys: every rule has an inverse, for names, shapes and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blocks import Join, Keys, Rename, Rule, Stack, Transpose
from blocks.hub.headers import Entry
from blocks.hub.match import match

SIZE = st.integers(1, 5)
SHAPE = st.lists(SIZE, min_size=1, max_size=3).map(tuple)


def numbered(*shape: int, start: int = 0) -> torch.Tensor:
    count = int(torch.tensor(shape).prod())
    return (torch.arange(count) + start).view(shape).float()


def round_trip(rule: Rule, ours: list[torch.Tensor]) -> torch.Tensor:
    shapes = [tuple(t.shape) for t in ours]
    theirs = rule.save(ours)
    assert tuple(theirs.shape) == rule.shape(shapes)
    again = rule.load(theirs, shapes)
    assert len(again) == len(ours)
    for found, wanted in zip(again, ours, strict=True):
        assert found.shape == wanted.shape and torch.equal(found, wanted)
    assert torch.equal(rule.save(again), theirs)
    return theirs


@given(SHAPE)
def test_rename(shape: tuple[int, ...]) -> None:
    x = numbered(*shape)
    assert torch.equal(round_trip(Rename("a", "b"), [x]), x)


@given(st.lists(SIZE, min_size=1, max_size=2).map(tuple))
def test_transpose(shape: tuple[int, ...]) -> None:
    x = numbered(*shape)
    theirs = round_trip(Transpose("a", ("b",)), [x])
    assert tuple(theirs.shape) == shape[::-1]
    if len(shape) == 2:
        assert theirs[0].tolist() == x[:, 0].tolist()


@given(st.lists(SIZE, min_size=1, max_size=4), st.lists(SIZE, max_size=2))
def test_join(heights: list[int], rest: list[int]) -> None:
    ours = [numbered(n, *rest, start=100 * i) for i, n in enumerate(heights)]
    names = tuple(f"o{i}" for i in range(len(ours)))
    theirs = round_trip(Join("a", names), ours)
    row = 0
    for part in ours:
        assert torch.equal(theirs[row : row + len(part)], part)
        row += len(part)


@given(SIZE, st.lists(SIZE, min_size=1, max_size=3), SIZE)
def test_stack(experts: int, heights: list[int], width: int) -> None:
    ours = [
        numbered(n, width, start=1000 * e + 100 * i)
        for e in range(experts)
        for i, n in enumerate(heights)
    ]
    theirs = round_trip(Stack("a", tuple(f"e.{{e}}.o{i}" for i in range(len(heights)))), ours)
    assert theirs.shape == (experts, sum(heights), width)
    assert torch.equal(theirs[experts - 1, : heights[0]], ours[-len(heights)])


@given(SIZE, SIZE, SIZE, st.integers(1, 3), st.booleans(), st.booleans())
def test_stack_in_turns(
    experts: int, height: int, width: int, parts: int, transposed: bool, flat: bool
) -> None:
    shape = (height,) if flat else (height, width)
    ours = [numbered(*shape, start=1000 * i) for i in range(experts * parts)]
    names = tuple(f"e.{{e}}.o{i}" for i in range(parts))
    rule = Stack("a", names, interleaved=True, transposed=transposed)
    theirs = round_trip(rule, ours)
    last = theirs[experts - 1].t() if transposed and not flat else theirs[experts - 1]
    assert torch.equal(last[parts - 1 :: parts], ours[-1])
    assert all(part.is_contiguous() for part in rule.load(theirs, [shape] * len(ours)))


@given(SIZE, SIZE, SIZE)
def test_stack_transposed(experts: int, height: int, width: int) -> None:
    ours = [numbered(height, width, start=1000 * i) for i in range(experts)]
    theirs = round_trip(Stack("a", ("e.{e}.o",), transposed=True), ours)
    assert theirs.shape == (experts, width, height)


def test_layers_of_another_model_are_ignored_where_they_are_marked() -> None:
    keys = Keys(("h.{i}.w", "layers.{i}.w"), appended=("h.{i}.mark", 2))
    file = {"h.0.w", "h.0.mark", "h.2.w", "h.2.mark", "h.3.w", "x.2.w", "h.two.w"}
    assert {name for name in file if keys.ignored(name, file)} == {"h.2.w", "h.2.mark"}
    assert not keys.ignored("h.2.w")


def test_tensors_of_other_models_in_the_file_are_told_by_their_beginning() -> None:
    keys = Keys(("h.{i}.w", "layers.{i}.w"), ignore=("mask",), apart=("eye.", "model.eye."))
    file = dict.fromkeys(("h.0.w", "eye.h.0.w", "model.eye.w", "eyes.w", "x.eye.w", "mask"))
    found = match(keys, {"layers.0.w": (2,)}, file)
    assert found.apart == ["eye.h.0.w", "model.eye.w"]
    assert found.extra == ["eyes.w", "x.eye.w"]


def test_loading_takes_views() -> None:
    x = numbered(6, 4)
    where = x.untyped_storage().data_ptr()
    rules = [
        (Transpose("a", ("b",)), [(4, 6)], x),
        (Join("a", ("b", "c")), [(2, 4), (4, 4)], x),
        (Stack("a", ("e.{e}.b", "e.{e}.c")), [(1, 2), (2, 2)] * 2, x.view(2, 3, 4)[..., :2]),
    ]
    for rule, shapes, theirs in rules:
        assert all(p.untyped_storage().data_ptr() == where for p in rule.load(theirs, shapes))


TABLE = Keys(
    ("emb.weight", "embedding.weight"),
    Join("h.{i}.qkv.{w}", ("layers.{i}.q.{w}", "layers.{i}.k.{w}", "layers.{i}.v.{w}")),
    ("h.{i}.q.{w}", "layers.{i}.q.{w}"),
    ("h.{i}.k.{w}", "layers.{i}.k.{w}"),
    ("h.{i}.v.{w}", "layers.{i}.v.{w}"),
    Transpose("h.{i}.up.{w}", ("layers.{i}.up.{w}",)),
    ("h.{i}.moe.{e}.a.weight", "layers.{i}.experts.{e}.gate.weight"),
    ("h.{i}.moe.{e}.b.weight", "layers.{i}.experts.{e}.up.weight"),
    Stack(
        "h.{i}.moe.ab", ("layers.{i}.experts.{e}.gate.weight", "layers.{i}.experts.{e}.up.weight")
    ),
    ignore=("h.{i}.table", "global_table"),
)


def addresses(layers: int, experts: int, biased: bool) -> list[str]:
    found = ["embedding.weight"]
    for i in range(layers):
        for part in ("q", "k", "v", "up"):
            found += [f"layers.{i}.{part}.weight"] + [f"layers.{i}.{part}.bias"] * biased
        for e in range(experts):
            found += [f"layers.{i}.experts.{e}.{part}.weight" for part in ("gate", "up")]
    return found


@given(st.integers(0, 12), st.integers(0, 12), st.booleans(), st.randoms())
def test_names_go_both_ways(layers: int, experts: int, biased: bool, random: Any) -> None:
    ours = addresses(layers, experts, biased)
    random.shuffle(ours)
    chosen = TABLE.chosen(ours)
    covered = [address for mapped in chosen for address in mapped.ours]
    assert sorted(covered) == sorted(ours), "each address once"
    names = [mapped.theirs for mapped in chosen]
    assert len(set(names)) == len(names)
    again = TABLE.chosen(ours, dict.fromkeys(names))
    assert {(m.theirs, m.ours) for m in again} == {(m.theirs, m.ours) for m in chosen}


def test_the_first_form_is_preferred_and_the_file_decides() -> None:
    ours = addresses(1, 2, False)
    names = {mapped.theirs for mapped in TABLE.chosen(ours)}
    assert "h.0.qkv.weight" in names and "h.0.moe.1.b.weight" in names
    held = {"h.0.q.weight", "h.0.k.weight", "h.0.v.weight", "h.0.moe.ab", "emb.weight"}
    names = {mapped.theirs for mapped in TABLE.chosen(ours, dict.fromkeys(held))}
    assert names == held | {"h.0.up.weight"}


def test_experts_are_counted_as_numbers() -> None:
    ours = addresses(1, 12, False)
    [stacked] = [m for m in TABLE.candidates(ours) if m.theirs == "h.0.moe.ab"]
    wanted = [f"layers.0.experts.{e}.{p}.weight" for e in range(12) for p in ("gate", "up")]
    assert list(stacked.ours) == wanted


def test_every_form_of_a_file_gives_the_same_tensors() -> None:
    ours = addresses(2, 3, True)
    shapes = {a: (3, 2) if a.endswith("weight") else (3,) for a in ours}
    values = {a: torch.randn(shapes[a]) for a in ours}
    forms = {mapped.theirs: mapped for mapped in TABLE.candidates(ours)}
    for without in ([], ["qkv"], ["moe.ab"], [".q.", ".k.", ".v.", ".a.", ".b."]):
        file = {
            name: mapped.rule.save([values[a] for a in mapped.ours])
            for name, mapped in forms.items()
            if not any(part in name for part in without)
        }
        found: dict[str, torch.Tensor] = {}
        for mapped in TABLE.chosen(ours, file):
            parts = mapped.rule.load(file[mapped.theirs], [shapes[a] for a in mapped.ours])
            found.update(zip(mapped.ours, parts, strict=True))
        assert set(found) == set(ours) and all(torch.equal(found[a], values[a]) for a in ours)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("h.3.table", True),
        ("global_table", True),
        ("h.x.table", False),
        ("h.3.tables", False),
        ("h.3.table.weight", False),
        ("table", False),
    ],
)
def test_ignored_names(name: str, wanted: bool) -> None:
    assert TABLE.ignored(name) == wanted


def test_addresses_without_a_name_are_left_out() -> None:
    assert TABLE.chosen(["layers.0.new.weight", "layers.x.q.weight", "embedding.bias"]) == []


def test_a_part_of_a_joined_tensor_is_no_tensor() -> None:
    names = [mapped.theirs for mapped in TABLE.chosen(["layers.0.q.weight", "layers.0.k.weight"])]
    assert names == ["h.0.q.weight", "h.0.k.weight"]


def test_parts_of_a_joined_tensor_are_shared() -> None:
    table = Keys(Join("first.gate_up", ("layers.0.gate", "layers.0.up")))
    ours = {f"layers.{i}.{name}": (2, 3) for i in range(2) for name in ("gate", "up")}
    ties = [(f"layers.1.{name}", f"layers.0.{name}") for name in ("gate", "up")]
    found = match(table, ours, {"first.gate_up": Entry("F32", (4, 3), 0, 48, None)}, ties)
    assert list(found.ties) == ties and not found.unmapped and not found.missing
