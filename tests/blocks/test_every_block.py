"""Every public block keeps the promises of all blocks; a new one only needs a line in the table."""

from __future__ import annotations

import inspect
import json
import pickle
from typing import get_type_hints

import pytest
import torch
from torch import nn

import blocks
from blocks import BlocksError, GenerationError, Spec, SpecError, from_json, to_json
from blocks.testing import check_block
from blocks.testing.subject import run, token_axis
from tests.blocks.table import TABLE, build, public_blocks, spec_of

EVERY = public_blocks()


def test_the_table_has_every_block_and_no_other() -> None:
    assert sorted(TABLE) == sorted(EVERY), "add the block to tests/blocks/table.py"


@pytest.mark.parametrize("name", EVERY)
def test_promises(name: str) -> None:
    small = TABLE[name]
    options = {**small.checks, "build": lambda: build(name), "compile": False}
    check_block(build(name), small.x(), shape=small.shape, **options)


@pytest.mark.parametrize("name", EVERY)
def test_spec_through_json(name: str) -> None:
    spec = spec_of(name)
    text = json.dumps(to_json(spec), allow_nan=False)
    again = from_json(json.loads(text))
    assert again == spec and hash(again) == hash(spec)
    assert json.dumps(to_json(again), allow_nan=False) == text
    told = set(to_json(spec)["options"])
    star = [p for p in inspect.signature(spec.func).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert told == {p.name for p in star}, "every value is written, defaults too"


@pytest.mark.parametrize("name", EVERY)
def test_spec_prints_as_it_is_typed(name: str) -> None:
    spec = spec_of(name)
    names = {n: getattr(blocks, n) for n in blocks.__all__}
    again = eval(repr(spec), names)
    assert again == spec and repr(again) == repr(spec)


@pytest.mark.parametrize("name", EVERY)
def test_spec_pickles_and_compares(name: str) -> None:
    spec = spec_of(name)
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec and hash(again) == hash(spec) and again is not spec
    assert len({spec, again}) == 1


@pytest.mark.parametrize("name", EVERY)
def test_the_block_pickles(name: str) -> None:
    module = build(name).eval()
    again, x = pickle.loads(pickle.dumps(module)), TABLE[name].x()
    for one, other in zip(run(again, x), run(module, x), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", EVERY)
def test_the_block_prints(name: str) -> None:
    assert repr(build(name)).startswith(name)


def sizes_of(name: str) -> dict[str, int]:
    kind = getattr(blocks, name)
    before = [
        p.name
        for p in inspect.signature(kind).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return dict(zip(before, TABLE[name].sizes, strict=False))  # some may be left out


@pytest.mark.parametrize("name", EVERY)
def test_sizes_below_one_are_refused(name: str) -> None:
    kind, sizes, allowed = getattr(blocks, name), sizes_of(name), TABLE[name].zero
    hints = get_type_hints(kind.__init__)
    counts = [n for n, hint in hints.items() if hint in (int, int | None) and n not in allowed]
    for option in counts:
        for bad in (0, -1):
            changed = {option: bad}
            with pytest.raises(SpecError) as caught:
                if option in sizes:
                    spec_of(name)(*{**sizes, **changed}.values())
                else:
                    build(name, **changed)
            assert str(bad) in str(caught.value), f"{option}: the number is missing"
            assert str(caught.value.field).endswith(f".{option}"), "another is blamed"


@pytest.mark.parametrize("name", EVERY)
def test_odd_floats_are_refused(name: str) -> None:
    kind = getattr(blocks, name)
    for option, hint in get_type_hints(kind.__init__).items():
        if hint not in (float, float | None):
            continue
        for bad in (float("nan"), float("inf"), *([-0.1, 1.0] if option == "dropout" else [])):
            with pytest.raises(SpecError) as caught:
                build(name, **{option: bad})
            assert str(caught.value.field).endswith(f".{option}")


@pytest.mark.parametrize("name", EVERY)
def test_an_input_of_another_width_is_no_silent_success(name: str) -> None:
    small = TABLE[name]
    x = small.x()
    if not x[0].is_floating_point() or name in ("Clip", "LayerMix", "SoftCap"):
        return
    wider = tuple(torch.randn(*t.shape[:-1], t.shape[-1] + 2) for t in x)
    with pytest.raises((BlocksError, RuntimeError)):
        run(build(name), wider)


ROUTERS = [name for name in EVERY if name.endswith("Router")]  # whose rows are tokens


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("what", ["tokens", "rows"])
def test_nothing_to_read(name: str, what: str) -> None:
    """A block that makes something of a sequence refuses an empty one; the others give nothing."""
    module, x = build(name).eval(), TABLE[name].x()
    axes = [0 if what == "rows" or name in ROUTERS else token_axis(t) for t in x]
    empty = tuple(t.narrow(axis, 0, 0) for t, axis in zip(x, axes, strict=True))
    try:
        outputs = run(module, empty)
    except (SpecError, GenerationError) as error:
        assert "[3, 0" in str(error) or "[0, " in str(error) or "0 frames" in str(error)
        return
    assert all(y.numel() == 0 for y in outputs), "something is made of nothing"


@pytest.mark.parametrize("name", EVERY)
def test_the_block_alone_takes_its_input(name: str) -> None:
    """No block needs anything of the library around it but a Step where it says so."""
    module, small = build(name), TABLE[name]
    needed = [
        p.name
        for p in inspect.signature(type(module).forward).parameters.values()
        if p.default is p.empty and p.name != "self"
    ]
    assert len(needed) - len(small.inputs) == ("step" in needed)
    assert isinstance(module, nn.Module) and isinstance(spec_of(name), Spec)  # pyright: ignore[reportArgumentType]
