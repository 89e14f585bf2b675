"""GLM-4.5 to 4.7: half of the channels turn, and the experts of DeepSeek-V3.

GLM-4.5 Team, "GLM-4.5", 2025, arXiv:2508.06471.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families._glm import glm_moe_keys, read_glm_moe, write_glm_moe
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return read_glm_moe(c, hidden=1408, first=1, rotated=0.5, head_dim=None, theta=10_000.0)


FAMILY = Family("glm4_moe", ("Glm4MoeForCausalLM",), spec, write_glm_moe, glm_moe_keys)
