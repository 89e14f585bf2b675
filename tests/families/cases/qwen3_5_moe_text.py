"""Qwen3.5-MoE's text models."""

from __future__ import annotations

from transformers import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

from tests.families.cases import qwen3_next
from tests.families.reference import Case

FIXED = {"norm_topk_prob", "mlp_only_layers", "intermediate_size"}
TRIED = ("plain", "eight experts", "biases", "tied", "yarn")

CASE = Case(
    config=Qwen3_5MoeTextConfig,
    model=Qwen3_5MoeForCausalLM,
    base={name: it for name, it in qwen3_next.BASE.items() if name not in FIXED},
    variants={name: qwen3_next.VARIANTS[name] for name in TRIED},
    mutations={
        name: mutation for name, mutation in qwen3_next.MUTATIONS.items() if mutation[0] in TRIED
    },
    published={},
    untried=qwen3_next.CASE.untried,
    fused=True,
    fields=qwen3_next.CASE.fields,
    tolerance=5e-5,
)
