"""Tables of names, of models of any depth: one-to-one, and every tensor comes back bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import Spec, replace, rewrite
from blocks.edit import stacks_of
from blocks.families import family_of
from blocks.models.places import addresses
from tests.properties.published import families, spec_of


def deepened(spec: Spec[Any], more: int) -> Spec[Any]:
    """The model with so many layers more in each of its stacks, of the kinds it has, in turn."""
    for address, layers in stacks_of(spec).items():
        turned = {"layers": tuple(layers[at % len(layers)] for at in range(len(layers) + more))}
        if address:
            spec = rewrite(spec, address, lambda part, turned=turned: replace(part, **turned))
        else:
            spec = replace(spec, **turned)
    return replace(spec, ties=())


def check(family: str, more: int) -> None:
    spec = deepened(spec_of(family), more)
    with torch.device("meta"):
        shapes = {address: tuple(t.shape) for address, t in addresses(spec()).items()}
    keys = family_of(family).table(spec)
    chosen = keys.chosen(list(shapes))
    names = [mapped.theirs for mapped in chosen]
    covered = [address for mapped in chosen for address in mapped.ours]
    assert len(set(names)) == len(names), "two addresses have one name"
    assert len(set(covered)) == len(covered), "an address has two names"
    again = keys.chosen(list(shapes), dict.fromkeys(names))
    assert {(one.theirs, one.ours) for one in again} == {(one.theirs, one.ours) for one in chosen}
    for mapped in chosen:
        ours = [torch.randn(shapes[address]) for address in mapped.ours]
        sizes = [shapes[address] for address in mapped.ours]
        theirs = mapped.rule.save(ours)
        assert tuple(theirs.shape) == mapped.rule.shape(sizes), mapped.theirs
        back = mapped.rule.load(theirs, sizes)
        assert len(back) == len(ours)
        assert all(torch.equal(a, b) for a, b in zip(back, ours, strict=True)), mapped.theirs
        assert torch.equal(mapped.rule.save(back), theirs)


@settings(max_examples=30)
@given(st.sampled_from(families()), st.integers(0, 10))
def test_there_and_back(family: str, more: int) -> None:
    check(family, more)


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_of_every_family(family: str) -> None:
    for more in (0, 1, 2, 5, 9):
        check(family, more)
