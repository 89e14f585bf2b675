"""GLM-4-0414: GLM-4 with norms on both sides of each branch.

GLM Team, "ChatGLM", 2024, arXiv:2406.12793.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _decoder as common
from blocks.families._glm import read_glm, write_glm
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    return read_glm(c, "norm_in", "norm_out")


OUT_KEYS = (
    ("model.layers.{i}.post_self_attn_layernorm.{w}", "layers.{i}.attention.norm_out.{w}"),
    ("model.layers.{i}.post_mlp_layernorm.{w}", "layers.{i}.mlp.norm_out.{w}"),
)
_PARTS = (*OUT_KEYS, *common.FUSED_MLP_KEYS)
KEYS = Keys(*common.DECODER_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("glm4", ("Glm4ForCausalLM",), spec, write_glm, KEYS)
