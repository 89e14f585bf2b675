"""Zamba2: which layers share which block, and patterns that can't be."""

from __future__ import annotations

import pytest

import blocks
from blocks import ConfigError, Load, rewrite
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.ageing import read_config

PATTERN = ["mamba", "hybrid", "hybrid", "mamba", "hybrid"]


def test_blocks_take_turns_and_adapters_stay_apart(loaded) -> None:
    model = loaded("zamba2", "plain").ours
    first, second, third = (
        blocks.find(model, f"layers.{i}.shared{n}.attention") for i, n in ((1, 0), (2, 1), (4, 0))
    )
    for name in ("q", "k", "v"):
        one, other, again = (part.get_submodule(name) for part in (first, second, third))
        weights = [part.base.weight for part in (one, other, again)]
        assert weights[0] is weights[2] and weights[0] is not weights[1]
        assert one.a.weight is not again.a.weight and not one.a.weight.equal(again.a.weight)
    assert first.out.weight is third.out.weight


def test_as_many_parameters_as_the_reference(loaded) -> None:
    for variant in ("plain", "one block", "a block each", "biases"):
        it = loaded("zamba2", variant)
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (it.ours, it.reference))
        assert ours == theirs and it.ours.provenance.initialised == ()


def test_layers_read_what_is_saved_under_that_name_alone(loaded) -> None:
    it = loaded("zamba2", "plain")
    renamed = rewrite(it.ours.spec, Load, lambda load: blocks.replace(load, name="other"))
    with pytest.raises(blocks.SpecError, match="nothing is saved as 'other'"):
        renamed()(it.tokens)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"layers_block_type": [*PATTERN, "mamba"]}, "layers_block_type lists 6"),
        ({"layers_block_type": PATTERN[:4]}, "layers_block_type lists 4"),
        ({"layers_block_type": None}, "layers_block_type lists 54"),
        ({"layers_block_type": ["mamba"] * 5}, "none of 5 layers is hybrid"),
        ({"layers_block_type": [*PATTERN[:4], "attention"]}, "'attention' is not known"),
        ({"hybrid_layer_ids": [1, 2]}, r"layers_block_type says \[1, 2, 4\]"),
        ({"num_mem_blocks": 0}, "num_mem_blocks"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"use_conv_bias": False}, "use_conv_bias"),
        ({"use_long_context": True}, "use_long_context"),
        ({"time_step_floor": -1.0}, "time_step_floor"),
        ({"adapter_rank": 0}, "adapter_rank"),
    ],
)
def test_a_pattern_that_cannot_be(loaded, fields, named) -> None:
    data = read_config(loaded("zamba2", "plain").folder) | fields
    with pytest.raises(ConfigError, match=named):
        outline_of(Config(data))
