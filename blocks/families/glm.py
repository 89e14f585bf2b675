"""GLM-4: LLaMA with biases on q, k and v, half-turned heads, and gate and up in one matrix.

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
    return read_glm(c, "norm_in")


KEYS = Keys(*common.DECODER_KEYS, *common.FUSED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("glm", ("GlmForCausalLM",), spec, write_glm, KEYS)
