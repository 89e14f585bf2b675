"""Hunyuan-A13B."""

from __future__ import annotations

from transformers import HunYuanMoEV1Config, HunYuanMoEV1ForCausalLM

from blocks import MoE, SoftmaxRouter
from tests.families.cases import hunyuan_v1_dense
from tests.families.reference import Case, Variant, change

VARIANTS = hunyuan_v1_dense.VARIANTS | {
    "eight experts": Variant({"num_experts": 8, "moe_topk": 3}),
    "more in the second layer": Variant({"moe_topk": [1, 3]}),
}

MUTATIONS = hunyuan_v1_dense.MUTATIONS | {
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "scale of weights": ("plain", change(SoftmaxRouter, scale=1.1)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "fewer in the second layer": ("more in the second layer", change("layers.1.mlp", top_k=1)),
    "no shared expert": ("plain", change(MoE, shared=None)),
}

CASE = Case(
    config=HunYuanMoEV1Config,
    model=HunYuanMoEV1ForCausalLM,
    base=hunyuan_v1_dense.CASE.base | {"num_experts": 4, "moe_topk": 2},
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"num_experts"}),
    fused=True,
)
