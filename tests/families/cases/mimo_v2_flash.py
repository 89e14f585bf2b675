"""MiMo-V2-Flash."""

from __future__ import annotations

from typing import Any

from transformers import MiMoV2FlashConfig, MiMoV2FlashForCausalLM

from blocks import Causal, GatedMLP, GQAttention, RMSNorm, RoPE, Scale, Window
from tests.families import ageing
from tests.families.cases import dots1, llama
from tests.families.reference import Case, Variant, change, decoder_mutations


def ropes(full: float, local: float, rotated: float, **options: Any) -> dict[str, Any]:
    def one(theta: float, **options: Any) -> dict[str, Any]:
        default = {"rope_type": "default", "partial_rotary_factor": rotated}
        return default | {"rope_theta": theta} | options

    return {"full_attention": one(full, **options), "sliding_attention": one(local)}


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json with the names that were published."""
    old = ageing.old_config(data, kind)
    slides, dense = old.pop("layer_types"), old.pop("mlp_layer_types")
    old = {name: value for name, value in old.items() if (name, value) != ("rope_scaling", None)}
    return old | {
        "hybrid_layer_pattern": [int(kind == "sliding_attention") for kind in slides],
        "moe_layer_freq": [int(kind == "sparse") for kind in dense],
        "sliding_window_size": old.pop("sliding_window") - 1,
        "swa_rope_theta": data["rope_parameters"]["sliding_attention"]["rope_theta"],
    }


OTHER = {"first_k_dense_replace", "n_shared_experts", "rope_theta"}
# Layers and RoPE as they are by default: the reference doesn't read the names that were published.
BASE = {name: value for name, value in dots1.BASE.items() if name not in OTHER} | {
    "head_dim": 24,
    "v_head_dim": 10,
    "sliding_window": 7,
}
YARN = {name: value for name, value in llama.YARN.items() if name != "rope_theta"}

VARIANTS = {
    "plain": Variant(),
    **dots1.ROUTING,
    "experts in every layer": Variant({"mlp_layer_types": ["sparse"] * 3}),
    "two dense layers": Variant({"mlp_layer_types": ["dense", "dense", "sparse"]}),
    "window first": Variant(
        {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
    ),
    "no window": Variant({"layer_types": ["full_attention"] * 3}),
    "biases": Variant({"attention_bias": True}),
    "one kv head": Variant({"num_key_value_heads": 1, "head_dim": 18}),
    "values as they are": Variant({"attention_value_scale": None}),
    "other thetas": Variant({"rope_parameters": ropes(500.0, 80.0, 1.0)}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": ropes(500.0, 80.0, 0.5, **YARN)}),
}
MIXTURE = {name: it for name, it in dots1.MIXTURE.items() if name != "no shared expert"}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | MIXTURE
    | dots1.GROUPS
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "scale of values": ("plain", change(Scale, scale=1.0)),
        "values not scaled": ("plain", change(GQAttention, values=None)),
        "no sinks": ("plain", change(GQAttention, sinks=False)),
        "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
        "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
        "no windows": ("plain", change(GQAttention, mask=Causal())),
        "theta of windows": ("plain", change("layers.1.attention.qk.0", theta=5e6)),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "no yarn": ("yarn", change(RoPE, scaling=None)),
    }
)

CASE = Case(
    config=MiMoV2FlashConfig,
    model=MiMoV2FlashForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "n_routed_experts", "v_head_dim"}),
    fused=True,
    older=older,
)
