"""FlexOlmo."""

from __future__ import annotations

from transformers import FlexOlmoConfig, FlexOlmoForCausalLM

from tests.families.cases import olmoe
from tests.families.reference import Case, change

CLIPPED = {"cap", "values not clipped"}

CASE = Case(
    config=FlexOlmoConfig,
    model=FlexOlmoForCausalLM,
    base=olmoe.BASE,
    variants={name: it for name, it in olmoe.VARIANTS.items() if name != "clipped"},
    mutations={name: it for name, it in olmoe.MUTATIONS.items() if name not in CLIPPED}
    | {
        "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
        "norm of what the experts find": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
    },
    published={},
    untried=olmoe.CASE.untried,
    fused=True,
)
