"""K-EXAONE."""

from __future__ import annotations

from typing import Any

from transformers import ExaoneMoeConfig, ExaoneMoeForCausalLM

from blocks import Causal, GatedMLP, GQAttention, QKNorm, RMSNorm, RoPE, Window
from tests.families import ageing
from tests.families.cases import dots1, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "moe_intermediate_size": 12,
    "num_experts": 8,
    "num_shared_experts": 2,
    "num_experts_per_tok": 3,
    "routed_scaling_factor": 1.7,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

VARIANTS = {
    "plain": Variant(),
    **dots1.ROUTING,
    "experts in every layer": Variant({"first_k_dense_replace": 0, "num_shared_experts": 1}),
    "two dense layers": Variant({"first_k_dense_replace": 2}),
    "listed": Variant({"mlp_layer_types": ["sparse", "dense", "sparse"]}),
    "pattern": Variant({"layer_types": None, "sliding_window_pattern": 3}),
    "no positions": Variant({"layer_types": ["full_attention"] * 3}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "llama3": Variant({"rope_parameters": llama.LLAMA3}),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | dots1.MIXTURE
    | dots1.GROUPS
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "no qk norm": ("plain", change("layers.0.attention", qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "rope in both": ("no positions", change(GQAttention, qk=(RoPE,))),
        "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
        "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
        "no windows": ("plain", change(GQAttention, mask=Causal())),
        "factor of llama3": ("llama3", rescale(factor=6.0)),
    }
)


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json as it was first published."""
    old = ageing.old_config(data, kind)
    dense = [kind == "dense" for kind in old.pop("mlp_layer_types")]
    return old | {
        "first_last_k_dense_replace": sum(dense),
        "is_moe_layer": [not one for one in dense],
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
    }


CASE = Case(
    config=ExaoneMoeConfig,
    model=ExaoneMoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "num_experts", "num_shared_experts"}),
    fused=True,
    older=older,
)
