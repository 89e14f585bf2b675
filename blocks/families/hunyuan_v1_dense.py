"""Hunyuan's dense models: LLaMA whose queries and keys are normed after they are turned.

Tencent Hunyuan Team, "Hunyuan-7B", 2025; Sun et al., "Hunyuan-Large", 2024, arXiv:2411.02265.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import count
from blocks.families._hunyuan import QK_KEYS, read_hunyuan, write_hunyuan
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    return read_hunyuan(c, {0: common.gated_mlp(c)}, (0,) * count(c, "num_hidden_layers"))


def config(s: Spec) -> dict[str, Any]:
    return write_hunyuan(s) | common.write_mlp(at(s, "layers.0.mlp"))


KEYS = Keys(*common.DECODER_KEYS, *QK_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("hunyuan_v1_dense", ("HunYuanDenseV1ForCausalLM",), spec, config, KEYS)
