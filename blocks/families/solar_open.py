"""Solar Open: GLM-4.5 with experts in every layer, whose channels all turn.

Upstage, "Solar Open technical report", 2026, arXiv:2601.07022.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families._glm import glm_moe_keys, read_glm_moe, write_glm_moe
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return read_glm_moe(c, hidden=1280, first=0, rotated=None, head_dim=128, theta=1e6)


FAMILY = Family("solar_open", ("SolarOpenForCausalLM",), spec, write_glm_moe, glm_moe_keys)
