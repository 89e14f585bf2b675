"""Equal parts of a planned model are built and told once: nothing but the time differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import blocks
from blocks.hub.planned import look
from blocks.models.places import addresses
from blocks.ops.shapeless import on_meta
from blocks.ops.twins import first_of, twinned
from blocks.spec import building
from blocks.surgery.explaining import tree_of
from tests.clock import within
from tests.families.cases.deepseek_v3 import PUBLISHED
from tests.surgery.families import DECODERS, model_of

COMMON = ("llama", "deepseek_v3", "zamba2", "reformer", "mamba2")


def same(spec: Any) -> None:
    with on_meta(), building() as one:
        plain = spec()
    with on_meta(), twinned(), building() as other:
        twins = spec()
    ours, theirs = addresses(plain), addresses(twins)
    facts = [(t.shape, t.dtype, type(t), t.requires_grad) for t in ours.values()]
    assert facts == [(t.shape, t.dtype, type(t), t.requires_grad) for t in theirs.values()]
    assert list(ours) == list(theirs)
    shared = [[list(some).index(t) for t in some] for some in map(_ids, (ours, theirs))]
    assert shared[0] == shared[1]
    assert len({id(m) for m, _, _ in one}) == len({id(m) for m, _, _ in other})
    for fold in (True, False):
        told = [tree_of(m, 64, fold=fold).root().to_json() for m in (plain, twins)]
        assert told[0] == told[1]


def _ids(tensors: dict[str, torch.Tensor]) -> list[int]:
    return [id(tensor) for tensor in tensors.values()]


@pytest.mark.parametrize(
    "family",
    [name if name in COMMON else pytest.param(name, marks=pytest.mark.slow) for name in DECODERS],
)
def test_every_family_is_told_as_it_was(family: str) -> None:
    same(model_of(family).spec)


@pytest.mark.parametrize("paper", (blocks.bahdanau, blocks.sutskever, blocks.graves_handwriting))
def test_models_of_papers_are_told_as_they_were(paper: Any) -> None:
    same(paper())


def test_what_is_one_within_a_part_is_one_in_its_copies() -> None:
    class Shares(nn.Module):
        def __init__(self, dim: int, *, wide: int = 2):
            super().__init__()
            self.one = nn.Linear(dim, wide)
            self.other = nn.Linear(dim, wide)
            self.other.weight = self.one.weight
            self.again = self.one
            self.register_buffer("count", torch.zeros(3))

    chain = blocks.Spec(blocks.Chain, steps={n: blocks.Spec(Shares) for n in ("a", "b", "c")})
    with on_meta(), twinned():
        made: Any = chain(4)
    assert first_of(made.c) is made.a and first_of(made.a) is made.a
    assert made.c.one is made.c.again is not made.a.one
    assert made.c.other.weight is made.c.one.weight is not made.a.one.weight
    assert made.c.count is not made.a.count and made.c.count.shape == (3,)


def test_a_published_mixture_is_told_at_once(tmp_path: Path) -> None:
    """DeepSeek-V3: 671 billion parameters, 45,000 matrices."""
    config, parameters = PUBLISHED["deepseek-ai/DeepSeek-V3"]
    files = [tmp_path / "config.json", tmp_path / "fewer.json"]
    files[0].write_text(json.dumps(config))
    files[1].write_text(json.dumps(config | {"num_experts_per_tok": 6}))
    told = blocks.explain(files[0])
    assert told.parameters == parameters and "layers.3-60" in str(told)
    plan = look(files[0])
    with on_meta():
        built = plan.model.spec()
    assert tree_of(plan, 512).root().flops == tree_of(built, 512).root().flops
    assert within(4, lambda: str(blocks.explain(files[0])))
    changes = blocks.diff(*files).changes
    assert [(c.part, c.what, c.a, c.b) for c in changes] == [("layers.3-60.mlp", "top_k", 8, 6)]
    assert within(4, lambda: str(blocks.diff(*files)))
