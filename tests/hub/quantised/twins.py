"""Every way to store a matrix that is read, with the `quantization_config` of a file of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tests.hub.quantised.made import (
    GROUP,
    Made,
    awq,
    bnb,
    gptq,
    int8,
    mxfp4,
    nvfp4,
    packed,
    scaled,
)


@dataclass(frozen=True)
class Twin:
    """One way to store a matrix.

    Attributes:
        config: the `quantization_config` of a file of it.
        make: rows and columns -> tensors and what they mean.
        says: words that the title must hold.
    """

    config: dict[str, Any]
    make: Callable[[np.random.Generator, int, int], Made] = field(repr=False)
    says: str

    def encoded(self, seed: int, rows: int, columns: int) -> Made:
        return self.make(np.random.default_rng(seed), rows, columns)


def _gptq(bits: int = 4, group: int = GROUP, **more: Any) -> dict[str, Any]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False} | more


def _groups(form: str, weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    scheme = {"targets": ["Linear"], "weights": weights, "input_activations": None}
    base = {"quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"]}
    return base | {"config_groups": {"group_0": scheme}, "quantization_status": "compressed"} | more


def _ints(bits: int = 4, size: int | None = GROUP, **more: Any) -> dict[str, Any]:
    strategy = "group" if size else "channel"
    return {"num_bits": bits, "type": "int", "strategy": strategy, "group_size": size} | more


_FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
_FLOATS = {"num_bits": 8, "type": "float"}
_FOUR = {"num_bits": 4, "type": "float"}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True}
_BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}
_NF4 = _BNB | {"bnb_4bit_quant_type": "nf4"}
_ASYMMETRIC = _ints(symmetric=False)
_MODELOPT = {"quant_method": "modelopt", "ignore": ["lm_head"]}

TWINS: dict[str, Twin] = {
    "gptq": Twin(_gptq(), gptq(), "GPTQ, 4 bits, groups of 8"),
    "gptq 2": Twin(_gptq(2), gptq(2), "GPTQ, 2 bits"),
    "gptq 3": Twin(_gptq(3), gptq(3), "GPTQ, 3 bits"),
    "gptq 8": Twin(_gptq(8, -1), gptq(8, -1), "GPTQ, 8 bits, one scale an output"),
    "gptq v2": Twin(_gptq(checkpoint_format="gptq_v2"), gptq(less=0), "GPTQ, 4 bits"),
    "gptq ordered": Twin(_gptq(desc_act=True), gptq(ordered=True), "GPTQ, 4 bits"),
    "gptq uneven": Twin(_gptq(group=20), gptq(group=20), "groups of 20"),
    "awq": Twin(_AWQ | {"version": "gemm"}, awq(), "AWQ, 4 bits, groups of 8"),
    "awq gemv": Twin(_AWQ | {"version": "gemv", "group_size": 32}, awq(32, by_row=True), "AWQ"),
    "nf4": Twin(_NF4, bnb(), "bitsandbytes nf4, 4 bits"),
    "nf4 double": Twin(
        _NF4 | {"bnb_4bit_use_double_quant": True}, bnb(double=True), "factors of 8 bits"
    ),
    "nf4 in bfloat16": Twin(
        _NF4 | {"bnb_4bit_quant_storage": "bfloat16"}, bnb(stored=torch.bfloat16), "nf4"
    ),
    "fp4": Twin(_BNB, bnb("fp4"), "bitsandbytes fp4, 4 bits"),
    "fp4 double": Twin(
        _BNB | {"bnb_4bit_use_double_quant": True}, bnb("fp4", double=True), "factors of 8 bits"
    ),
    "int8": Twin(
        _BNB | {"load_in_4bit": False, "load_in_8bit": True}, int8, "bitsandbytes int8, 8 bits"
    ),
    "packed": Twin(_groups("pack-quantized", _ints()), packed(), "packed, 4 bits, groups of 8"),
    "packed with zeros": Twin(
        _groups("pack-quantized", _ASYMMETRIC), packed(zeros=True), "packed, 4 bits"
    ),
    "packed ordered": Twin(
        _groups("pack-quantized", _ints(actorder="group")), packed(ordered=True), "packed, 4 bits"
    ),
    "packed 8": Twin(
        _groups("pack-quantized", _ints(8, None)), packed(8, per="channel"), "8 bits, one scale"
    ),
    "packed 3": Twin(_groups("pack-quantized", _ints(3)), packed(3), "packed, 3 bits"),
    "packed whole": Twin(
        _groups("pack-quantized", {"num_bits": 4, "strategy": "tensor"}),
        packed(per="tensor"),
        "one scale a matrix",
    ),
    "int-quantized": Twin(
        _groups("int-quantized", _ints(8, None)), scaled("int8", (1, None)), "int8, 8 bits"
    ),
    "int-quantized with zeros": Twin(
        _groups("int-quantized", _ints(8, None, symmetric=False)),
        scaled("int8", (1, None), zeros=True),
        "int8, 8 bits, one scale an output",
    ),
    "naive": Twin(
        _groups("naive-quantized", _ints(8)), scaled("int8", (1, GROUP)), "8 bits, groups of 8"
    ),
    "float-quantized": Twin(
        _groups("float-quantized", _FLOATS | {"strategy": "tensor"}),
        scaled("fp8", (None, None)),
        "FP8, 8 bits, one scale a matrix",
    ),
    "float-quantized rows": Twin(
        _groups("float-quantized", _FLOATS | {"strategy": "channel"}),
        scaled("fp8", (1, None)),
        "one scale an output",
    ),
    "float-quantized blocks": Twin(
        _groups("float-quantized", _FLOATS | {"strategy": "block", "block_structure": [12, 20]}),
        scaled("fp8", (12, 20)),
        "blocks of 12 × 20",
    ),
    "mxfp4 packed": Twin(
        _groups("mxfp4-pack-quantized", _FOUR | {"strategy": "group", "group_size": 32}),
        mxfp4,
        "MXFP4, 4 bits, groups of 32",
    ),
    "nvfp4 packed": Twin(
        _groups("nvfp4-pack-quantized", _FOUR | {"strategy": "tensor_group", "group_size": 16}),
        nvfp4(inverse=True),
        "NVFP4, 4 bits, groups of 16",
    ),
    "fp8 blocks": Twin(
        _FP8 | {"weight_block_size": [16, 24]}, scaled("fp8", (16, 24), "_scale_inv"), "16 × 24"
    ),
    "fp8 whole": Twin(
        _FP8 | {"weight_block_size": None}, scaled("fp8", (None, None), "_scale_inv"), "a matrix"
    ),
    "fp8 by another name": Twin(_FP8, scaled("fp8", (None, None)), "FP8, 8 bits"),
    "fbgemm": Twin(
        {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0},
        scaled("fp8", (1, None)),
        "one scale an output",
    ),
    "modelopt fp8": Twin(
        _MODELOPT | {"quant_algo": "FP8"}, scaled("fp8", (None, None)), "ModelOpt FP8, 8 bits"
    ),
    "modelopt nvfp4": Twin(
        _MODELOPT | {"quant_algo": "NVFP4", "group_size": 16}, nvfp4(inverse=False), "NVFP4"
    ),
}
