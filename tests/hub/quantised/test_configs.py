"""`quantization_config` as tools write it: all of it is read, and what can't be is named."""

from __future__ import annotations

from typing import Any

import pytest

from blocks import ConfigError
from blocks.hub.config import Config
from blocks.hub.quantised.naming import Names
from blocks.hub.quantised.reading import read_storage
from tests.clock import within
from tests.hub.quantised.test_formats import storage
from tests.hub.quantised.twins import TWINS

LAYER = "model.layers.3.self_attn.q_proj"
EXPERT = "model.layers.3.mlp.experts.7.down_proj"
_WEIGHTS = {
    "actorder": None,
    "block_structure": None,
    "dynamic": False,
    "group_size": 128,
    "num_bits": 4,
    "observer": "minmax",
    "observer_kwargs": {},
    "strategy": "group",
    "symmetric": True,
    "type": "int",
}
_GROUP = {
    "input_activations": None,
    "output_activations": None,
    "targets": ["Linear"],
    "weights": _WEIGHTS,
}

# In the form that public repositories have them.
WRITTEN: list[tuple[dict[str, Any], str]] = [
    (
        {
            "batch_size": 1,
            "bits": 4,
            "block_name_to_quantize": None,
            "cache_block_outputs": True,
            "damp_percent": 0.01,
            "dataset": None,
            "desc_act": False,
            "exllama_config": {"version": 1},
            "group_size": 128,
            "max_input_length": None,
            "model_seqlen": None,
            "module_name_preceding_first_block": None,
            "modules_in_block_to_quantize": None,
            "pad_token_id": None,
            "quant_method": "gptq",
            "sym": True,
            "tokenizer": None,
            "true_sequential": True,
            "use_cuda_fp16": False,
            "use_exllama": True,
        },
        "GPTQ, 4 bits, groups of 128",
    ),
    (
        {
            "bits": 4,
            "checkpoint_format": "gptq",
            "desc_act": True,
            "dynamic": None,
            "group_size": -1,
            "lm_head": False,
            "meta": {"quantizer": ["gptqmodel:1.4.0"], "static_groups": False},
            "pack_dtype": "int32",
            "quant_method": "gptq",
            "sym": True,
            "true_sequential": True,
        },
        "GPTQ, 4 bits, one scale an output",
    ),
    (
        {
            "bits": 4,
            "group_size": 128,
            "modules_to_not_convert": None,
            "quant_method": "awq",
            "version": "GEMM",
            "zero_point": True,
        },
        "AWQ, 4 bits, groups of 128",
    ),
    (
        {
            "_load_in_4bit": True,
            "_load_in_8bit": False,
            "bnb_4bit_compute_dtype": "bfloat16",
            "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "llm_int8_enable_fp32_cpu_offload": False,
            "llm_int8_has_fp16_weight": False,
            "llm_int8_skip_modules": ["lm_head", "multi_modal_projector"],
            "llm_int8_threshold": 6.0,
            "load_in_4bit": True,
            "load_in_8bit": False,
            "quant_method": "bitsandbytes",
        },
        "bitsandbytes nf4, 4 bits, factors of 8 bits",
    ),
    (
        {
            "config_groups": {"group_0": _GROUP},
            "format": "pack-quantized",
            "global_compression_ratio": 1.89,
            "ignore": ["lm_head"],
            "kv_cache_scheme": None,
            "quant_method": "compressed-tensors",
            "quantization_status": "compressed",
            "sparsity_config": {},
            "transform_config": {},
            "version": "0.10.3",
        },
        "compressed-tensors packed, 4 bits, groups of 128",
    ),
    (
        {
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "modules_to_not_convert": ["lm_head", "model.layers.0.mlp.gate"],
            "quant_method": "fp8",
            "weight_block_size": [128, 128],
        },
        "FP8, 8 bits, blocks of 128 × 128",
    ),
    (
        {
            "modules_to_not_convert": ["model.layers.*.mlp.router", "model.embed_tokens"],
            "quant_method": "mxfp4",
        },
        "MXFP4, 4 bits, groups of 32",
    ),
    (
        {
            "config_groups": {"group_0": {"targets": ["Linear"]}},
            "ignore": ["lm_head", "model.layers.0.block_sparse_moe.gate"],
            "kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"},
            "producer": {"name": "modelopt", "version": "0.29.0"},
            "quant_algo": "NVFP4",
            "quant_method": "modelopt",
        },
        "ModelOpt NVFP4, 4 bits, groups of 16",
    ),
]


@pytest.mark.parametrize(("config", "title"), WRITTEN)
def test_as_tools_write_it(config: dict[str, Any], title: str) -> None:
    found = storage(config)
    assert found.formats(LAYER)[0].title == title
    assert found.told[0] == f"dequantised from {title}"


@pytest.mark.parametrize("field", ["quantization_config", "compression_config"])
def test_of_a_text_model_inside_another(field: str) -> None:
    c = Config({"text_config": {field: TWINS["packed"].config}, "vision_config": {}})
    assert read_storage(c) is None
    c.inside("text_config", "llama")
    found = read_storage(c)
    assert found is not None and "packed" in found.told[0]
    c.take("vision_config", Any)
    c.finish()


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("gptq", {"bits": 5}, "bits", "5 is not one of 2, 3, 4, 8"),
    ("gptq", {"checkpoint_format": "marlin"}, "checkpoint_format", "'marlin' can't be read"),
    ("gptq", {"pack_dtype": "int64"}, "pack_dtype", "'int64' is not supported"),
    ("gptq", {"rotation": "hadamard"}, "rotation", "'hadamard' is not supported"),
    ("gptq", {"group_size": -2}, "group_size", "-2 is not between -1"),
    ("gptq", {"unheard": 1}, "unheard", "not known"),
    ("gptq", {"dynamic": {"+:.*mlp": {"bits": 7}}}, r"dynamic.+:.*mlp.bits", "7 is not one of"),
    ("gptq", {"dynamic": {"+:.*mlp": {"rotation": 1}}}, r"dynamic.+:.*mlp.rotation", "not known"),
    ("gptq", {"dynamic": {"-:(": {}}}, "dynamic.-:(", "is no pattern"),
    ("awq", {"bits": 8}, "bits", "8 is not supported; 4 is"),
    ("awq", {"zero_point": False}, "zero_point", "False is not supported"),
    ("awq", {"version": "gemv_fast"}, "version", "'gemv_fast' can't be read; gemm and gemv can"),
    ("awq", {"backend": "llm-awq"}, "backend", "'llm-awq' is not supported"),
    ("awq gemv", {"group_size": 16}, "group_size", "gemv knows groups of 32, 64"),
    ("nf4", {"bnb_4bit_quant_type": "int4"}, "bnb_4bit_quant_type", "'int4' can't be read"),
    ("nf4", {"bnb_4bit_quant_storage": "int8"}, "bnb_4bit_quant_storage", "'int8' is not one of"),
    ("nf4", {"load_in_8bit": True}, "load_in_4bit", "either this or load_in_8bit"),
    ("int8", {"load_in_8bit": False}, "load_in_4bit", "either this or load_in_8bit"),
    ("packed", {"format": "marlin-24"}, "config_groups.group_0.format", "'marlin-24' of 4 bits"),
    ("packed", {"format": "dense"}, "config_groups.group_0.format", "'dense' of 4 bits"),
    ("packed", {"config_groups": {}}, "config_groups", "missing"),
    ("packed", {"transform_config": {"R1": {}}}, "transform_config", "is not supported"),
    ("packed", {"sparsity_config": {"format": "sparse-24"}}, "sparsity_config.format", "sparse-24"),
    ("packed", {"ignore": ["re:("]}, "ignore", "is no pattern"),
    ("packed", {"ignore": ["re:(a*)*b"]}, "ignore", "too intricate"),
    ("fp8 blocks", {"weight_block_size": [128]}, "weight_block_size", r"\[128\] is not two sizes"),
    ("fp8 blocks", {"weight_block_size": [0, 1]}, "weight_block_size", "is not two sizes"),
    ("fp8 blocks", {"fmt": "e5m2"}, "fmt", "'e5m2' is not supported"),
    ("fp8 blocks", {"expert_dtype": "fp4"}, "expert_dtype", "'fp4' is not supported"),
    ("modelopt fp8", {"quant_algo": "W4A8_AWQ"}, "quant_algo", "'W4A8_AWQ' can't be read"),
    ("modelopt fp8", {"pre_quant_scale": True}, "pre_quant_scale", "is not supported"),
]
SCHEMES: list[tuple[dict[str, Any], str, str]] = [
    ({"num_bits": 9}, "num_bits", "9 is not from 1 to 8"),
    ({"strategy": "block"}, "strategy", "'block' with group_size 8 can't be read"),
    ({"group_size": None}, "strategy", "'group' with group_size 0"),
    ({"dynamic": True}, "dynamic", "True is not supported"),
    ({"strategy": "tensor", "symmetric": False}, "symmetric", "zeros of one scale"),
    ({"rounding": "up"}, "rounding", "not known"),
]
REFUSED += [
    (
        "packed",
        {
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {"num_bits": 4, "strategy": "group", "group_size": 8} | scheme,
                }
            }
        },
        f"config_groups.group_0.weights.{field}",
        said,
    )
    for scheme, field, said in SCHEMES
]


@pytest.mark.parametrize(("name", "more", "field", "said"), REFUSED)
def test_what_cannot_be_read_is_named(
    name: str, more: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        storage(TWINS[name].config | more)
    assert caught.value.field == f"quantization_config.{field}"


def test_modules_of_other_bits_and_of_none() -> None:
    dynamic = {"+:.*experts.*": {"bits": 8, "group_size": 32}, "-:.*q_proj": {}}
    found = storage(TWINS["gptq"].config | {"dynamic": dynamic})
    assert [form.title for form in found.formats(EXPERT)] == ["GPTQ, 8 bits, groups of 32"]
    assert found.formats(LAYER) == ()
    assert [f.title for f in found.formats("lm_head")] == ["GPTQ, 4 bits, groups of 8"]


def test_a_name_counts_before_a_pattern_and_that_before_all() -> None:
    group = TWINS["packed"].config["config_groups"]["group_0"]

    def of(bits: int, *targets: str) -> dict[str, Any]:
        return group | {"targets": list(targets), "weights": group["weights"] | {"num_bits": bits}}

    groups = {"a": of(2, "Linear"), "b": of(3, "re:.*q_proj", "re:.*down_proj"), "c": of(8, LAYER)}
    found = storage(TWINS["packed"].config | {"config_groups": groups})
    bits = [getattr(found.formats(name)[0], "bits") for name in (LAYER, EXPERT, "lm_head")]  # noqa: B009  (of one format)
    assert bits == [8, 3, 2]


@pytest.mark.parametrize(
    ("name", "module", "covers"),
    [
        ("lm_head", "lm_head", True),
        ("lm_head", "model.lm_head.inner", True),
        ("self_attn", LAYER, True),
        ("q_proj", LAYER, True),
        ("q", LAYER, False),
        ("attn.q_proj", LAYER, False),
        ("model.layers.*.self_attn", LAYER, True),
        ("model.layers.?.self_attn*", LAYER, True),
        ("layers.*.self_attn", LAYER, False),
        ("re:.*self_attn.*", LAYER, True),
        ("re:self_attn.*", LAYER, False),
        (r"re:model\.layers\.\d+\.mlp\.experts\.\d+\.(gate|up|down)_proj$", EXPERT, True),
    ],
)
def test_what_a_name_covers(name: str, module: str, covers: bool) -> None:
    assert (Names([name]).of(module) == name) is covers


@pytest.mark.parametrize(
    "pattern",
    ["re:(a|a)*b", "re:(.*)*x", "re:.*.*.*.*x", r"re:\w+\w+\w+\w+\w+x", "re:a**", "*" * 30],
)
def test_patterns_that_could_be_tried_forever_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"intricate|no pattern|wildcards"):
        storage(TWINS["packed"].config | {"ignore": [pattern]})


def test_a_pattern_that_is_allowed_is_quick() -> None:
    found = storage(TWINS["packed"].config | {"ignore": ["re:.*a.*a.*ab"]})
    module = ".".join(["model", "a" * 150])
    assert within(0.5, lambda: [found.plain.of(f"{module}{n}") for n in range(3)])
