"""GLM-4.7-Flash."""

from __future__ import annotations

from transformers import Glm4MoeLiteConfig, Glm4MoeLiteForCausalLM

from tests.families.cases import deepseek_v2, deepseek_v3
from tests.families.reference import Case, Variant


def layers(*kinds: str) -> Variant:
    return Variant({"num_hidden_layers": len(kinds), "mlp_layer_types": [*kinds]})


BASE = {name: it for name, it in deepseek_v3.BASE.items() if name != "first_k_dense_replace"}

VARIANTS = deepseek_v3.VARIANTS | {
    "experts in every layer": layers("sparse", "sparse"),
    "two dense layers": layers("dense", "dense", "sparse"),
    "experts first": layers("sparse", "dense", "sparse"),
}

CASE = Case(
    config=Glm4MoeLiteConfig,
    model=Glm4MoeLiteForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=deepseek_v3.MUTATIONS,
    published={},
    untried=deepseek_v3.CASE.untried,
    fused=True,
    fields=deepseek_v2.FIELDS,
)
