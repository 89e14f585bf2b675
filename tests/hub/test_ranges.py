"""Numbers lie in their ranges, and what a block refuses is told of the config's own field."""

from __future__ import annotations

from typing import Any

import pytest

from blocks import ConfigError, SpecError
from blocks.hub.blame import as_config_error
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.gallery.others import CONFIGS


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("rms_norm_eps", (1e-12, 0.5), (0, 1, -1e-5, 1e3)),
        ("layer_norm_epsilon", (1e-5,), (0.0, 2)),
        ("moe_jitter_eps", (0.0, 0.01), ()),
        ("hidden_dropout_prob", (0, 0.99), (1, -0.1)),
        ("resid_pdrop", (0.1,), (1.0,)),
        ("rope_theta", (1000, 1e15), (0, 1, -1e4, 1e16)),
        ("rotary_emb_base", (10000,), (0.5,)),
        ("rope_local_base_freq", (10000.0,), (0,)),
        ("factor", (1, 40.0), (0, 0.5, 1e7)),
        ("partial_rotary_factor", (0.0, 1.0), (-0.1, 1.1)),
        ("logit_scale", (-3.0, 0.0, 1e9), ()),
    ],
)
def test_ranges(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        assert Config({name: value}).take(name, float) == value
    for value in bad:
        with pytest.raises(ConfigError, match=r"is not in [\[(]") as caught:
            Config({name: value}).take(name, float)
        assert caught.value.field == name


@pytest.mark.parametrize("family", CONFIGS)
def test_the_other_checkpoints_of_the_gallery_are_whole(family: str) -> None:
    outline_of(Config({"model_type": family, **CONFIGS[family]})).build()


def test_a_field_is_told_by_its_value_and_its_words() -> None:
    config = Config({"num_attention_heads": 4, "num_key_value_heads": 3, "num_hidden_layers": 3})
    for name in config.data:
        config.take(name, int)
    error = SpecError("4 heads can't share 3 kv_heads", field="GQAttention.kv_heads", hint="try 2")
    told = as_config_error(error, config)
    assert (told.field, told.file, told.hint) == ("num_key_value_heads", "config.json", "try 2")
    assert told.reason == "GQAttention.kv_heads: 4 heads can't share 3 kv_heads"


def test_what_no_field_says_keeps_the_name_of_the_block() -> None:
    config = Config({"hidden_size": 16})
    config.take("hidden_size", int)
    told = as_config_error(SpecError("must be 5", field="Window.reach"), config)
    assert told.field == "Window.reach" and told.reason == "must be 5"


@pytest.mark.parametrize(
    ("version", "said", "fine"),
    [
        ("4.31.0", {}, True),
        ("4.32.0.dev0", {}, True),
        ("4.33.3", {}, True),
        ("4.34.0", {}, False),
        (None, {}, False),
        ("5.0", {}, False),
        ("4.31.0", {"rope_theta": None}, False),
        ("5.0", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, True),
    ],
)
def test_theta_is_assumed_of_files_older_than_it(
    version: str | None, said: Any, fine: bool
) -> None:
    fields = {n: v for n, v in CONFIGS["mistral"].items() if n != "rope_theta"}
    config = Config({"model_type": "mistral", "transformers_version": version, **fields, **said})
    if fine:
        assert outline_of(config).spec is not None
        return
    with pytest.raises(ConfigError, match="missing") as caught:
        outline_of(config)
    assert caught.value.field == "rope_theta" and "10000.0" in str(caught.value.hint)
