"""Hybrids: which layers attend, by every way to say it, and what the first files say besides."""

from __future__ import annotations

import pytest

from blocks import ConfigError, at
from blocks.families._hybrids import kinds_of
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.reference import case_of, first

_DELTA, _FULL = "linear_attention", "full_attention"
# A list of the layers, and how it goes on.
LISTS = {
    "granitemoehybrid": ("layer_types", [_DELTA, _FULL]),
    "olmo_hybrid": ("layer_types", [_DELTA, _FULL]),
    "qwen3_5_moe_text": ("layer_types", [_DELTA, _FULL]),
    "qwen3_5_text": ("layer_types", [_DELTA, _FULL]),
    "qwen3_next": ("layer_types", [_DELTA, _FULL]),
}
HYBRIDS = [*LISTS, "bamba", "jamba", "recurrent_gemma"]


def plain(family, **fields):
    case = case_of(family)
    data = {"model_type": family, **case.options(case.variants[first(family)]), **fields}
    return {name: value for name, value in data.items() if value is not ...}


def spec_of(family, **fields):
    return outline_of(Config(plain(family, **fields))).spec


@pytest.mark.parametrize("family", LISTS)
def test_a_list_of_other_length_than_the_layers(family):
    name, kinds = LISTS[family]
    depth = len(kinds_of(spec_of(family)))
    for listed in ((kinds * depth)[: depth + 1], (kinds * depth)[: depth - 1], []):
        with pytest.raises(ConfigError, match=name) as caught:
            spec_of(family, **{name: listed})
        assert caught.value.field in (name, "num_hidden_layers")
        assert str(len(listed)) in str(caught.value) or not listed


@pytest.mark.parametrize("family", LISTS)
def test_a_word_that_no_layer_is(family):
    name, kinds = LISTS[family]
    depth = len(kinds_of(spec_of(family)))
    with pytest.raises(ConfigError, match=r"'retention' is not known.*full_attention") as caught:
        spec_of(family, **{name: (kinds * depth)[: depth - 1] + ["retention"]})
    assert caught.value.field == name


def test_a_pattern_longer_than_its_layers():
    kinds = ["recurrent", "recurrent", "attention", "recurrent"]
    with pytest.raises(ConfigError, match="3 layers, but block_types lists 4"):
        spec_of("recurrent_gemma", block_types=kinds, num_hidden_layers=3)


@pytest.mark.parametrize("place", [-1, 2, 99])
def test_attention_where_no_layer_is(place):
    with pytest.raises(ConfigError, match="attn_layer_indices"):
        spec_of("bamba", attn_layer_indices=[0, place], num_hidden_layers=2)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("bamba", {"attn_layer_indices": []}),
        ("granitemoehybrid", {"layer_types": [_DELTA] * 2, "num_hidden_layers": 2}),
        ("jamba", {"attn_layer_period": 9, "attn_layer_offset": 8}),
        ("olmo_hybrid", {"layer_types": [_DELTA] * 2, "num_hidden_layers": 2}),
        ("qwen3_next", {"layer_types": ..., "num_hidden_layers": 2, "full_attention_interval": 3}),
        ("recurrent_gemma", {"num_hidden_layers": 2, "block_types": None}),
    ],
)
def test_layers_none_of_which_attends(family, fields):
    with pytest.raises(ConfigError, match="has attention"):
        spec_of(family, **fields)


def test_no_positions_as_the_first_converter_says_it():
    layers = {"layer_types": [_DELTA, _FULL], "num_hidden_layers": 2, "rope_theta": None}
    spec = spec_of("olmo_hybrid", **layers, rope_parameters=...)
    assert len(at(spec, "layers.1.attention").keywords["qk"]) == 1


def test_two_lists_of_dense_layers_that_disagree():
    fields = {"mlp_only_layers": [0], "decoder_sparse_step": 1, "num_hidden_layers": 3}
    fields |= {"layer_types": None, "num_attention_heads_per_layer": None}
    same = ["dense", "sparse", "sparse"]
    assert spec_of("laguna", **fields, mlp_layer_types=same) == spec_of(
        "laguna", **fields, mlp_layer_types=None
    )
    with pytest.raises(ConfigError, match="mlp_layer_types says otherwise"):
        spec_of("laguna", **fields, mlp_layer_types=same[::-1])


_NEXT = {"mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False}
_NEXT |= {"attn_output_gate": True, "output_gate_type": "swish", "mamba_ssm_dtype": "float32"}
_NEXT |= {"mlp_only_layers": []}
_ONE = ("n_group", "topk_group", "num_expert_groups", "num_limited_groups")
# What published files say, and this library needs to be so or has no use for.
BESIDES = {
    "afmoe": dict.fromkeys(_ONE, 1)
    | {"route_norm": True, "score_func": "sigmoid", "use_grouped_mm": True},
    "jamba": {"calc_logits_for_entire_prompt": False, "mamba_inner_layernorms": True},
    "laguna": {"norm_topk_prob": True, "qkv_bias": False, "decoder_sparse_step": 1},
    "qwen3_5_moe_text": _NEXT,
    "qwen3_5_text": _NEXT,
}
OTHERWISE = [
    ("afmoe", "route_norm", False),
    ("afmoe", "n_group", 2),
    ("jamba", "mamba_inner_layernorms", False),
    ("laguna", "norm_topk_prob", False),
    ("laguna", "qkv_bias", True),
    ("qwen3_5_text", "attn_output_gate", False),
    ("qwen3_5_text", "output_gate_type", "sigmoid"),
    ("qwen3_5_text", "mlp_only_layers", [0]),
]


@pytest.mark.parametrize("family", BESIDES)
def test_what_published_files_say_besides(family):
    assert spec_of(family, **BESIDES[family]) == spec_of(family)


@pytest.mark.parametrize(("family", "name", "value"), OTHERWISE)
def test_another_value_of_it_is_refused(family, name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        spec_of(family, **{name: value})
    assert caught.value.field == name


def test_the_context_as_jamba_said_it_first():
    fields = {"max_position_embeddings": ..., "n_ctx": 77}
    assert spec_of("jamba", **fields) == spec_of("jamba", max_position_embeddings=77)
