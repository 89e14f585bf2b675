"""A.X K1."""

from __future__ import annotations

from transformers import AXK1Config, AXK1ForCausalLM

from tests.families.cases import deepseek_v2, deepseek_v3, glm4_moe_lite
from tests.families.reference import Case, change

VARIANTS = {name: it for name, it in glm4_moe_lite.VARIANTS.items() if name != "no query latent"}

CASE = Case(
    config=AXK1Config,
    model=AXK1ForCausalLM,
    base=glm4_moe_lite.BASE,
    variants=VARIANTS,
    mutations=deepseek_v3.MUTATIONS
    | {"norm of what the experts find": ("plain", change("layers.*.mlp.norm_out", eps=0.5))},
    published={},
    untried=deepseek_v3.CASE.untried,
    fused=True,
    fields=deepseek_v2.FIELDS,
)
