"""GLM-4-0414."""

from __future__ import annotations

import dataclasses

from transformers import Glm4Config, Glm4ForCausalLM

from tests.families.cases import glm
from tests.families.reference import change

OWN = {
    "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
    "norm of what the mlp finds": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
}

CASE = dataclasses.replace(
    glm.CASE, config=Glm4Config, model=Glm4ForCausalLM, mutations=glm.MUTATIONS | OWN
)
