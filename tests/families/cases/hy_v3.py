"""Hunyuan 3."""

from __future__ import annotations

from typing import Any

from transformers import HYV3Config, HYV3ForCausalLM

from blocks import GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SigmoidRouter, Spec
from tests.families import ageing
from tests.families.cases import dots1, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "head_dim": 8,
    "moe_intermediate_size": 12,
    "num_experts": 8,
    "num_shared_experts": 2,
    "num_experts_per_tok": 3,
    "router_scaling_factor": 1.7,
}
ALL = {"mlp_layer_types": ["sparse"] * 3}

VARIANTS = {
    "plain": Variant(),
    "experts in every layer": Variant(ALL | {"num_shared_experts": 1}),
    "two dense layers": Variant({"mlp_layer_types": ["dense", "dense", "sparse"]}),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}
MIXTURE = {name: it for name, it in dots1.MIXTURE.items() if name != "weights renormalised"}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | MIXTURE
    | {
        "groups": ("plain", change(SigmoidRouter, groups=4, kept_groups=2)),
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "bias of the output": ("biases", change(GQAttention, out_bias=False)),
        "biases of the mlp": ("biases", change("layers.0.mlp", bias=False)),
        "biases of shared experts": ("biases", change(MoE, shared=Spec(GatedMLP, hidden=24))),
        "factor of yarn": ("yarn", rescale(factor=3.0)),
    }
)


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json as it was published."""
    old = ageing.old_config(data, kind)
    return old | {
        "enable_attention_fp32_softmax": False,
        "enable_lm_head_fp32": True,
        "expert_hidden_dim": data["moe_intermediate_size"],
        "first_k_dense_replace": old.pop("mlp_layer_types").count("dense"),
        "moe_router_enable_expert_bias": True,
        "moe_router_use_sigmoid": True,
        "num_nextn_predict_layers": 1,
        "qk_norm": True,
        "route_norm": True,
        "use_grouped_mm": False,
    }


CASE = Case(
    config=HYV3Config,
    model=HYV3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "num_experts", "num_shared_experts"}),
    fused=True,
    older=older,
)
