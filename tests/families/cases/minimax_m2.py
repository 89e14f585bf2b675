"""MiniMax-M2."""

from __future__ import annotations

from typing import Any

from transformers import MiniMaxM2Config, MiniMaxM2ForCausalLM

from blocks import GatedMLP, GQAttention, MoE, RMSNorm, RoPE, SigmoidRouter
from tests.families import ageing
from tests.families.cases import llama, mixtral
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = mixtral.BASE | {"head_dim": 8, "num_experts_per_tok": 2}

VARIANTS = {
    "plain": Variant(),
    "eight experts": Variant({"num_local_experts": 8, "num_experts_per_tok": 3}),
    "half of the channels": Variant({"rotary_dim": 4}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "weights not renormalised": ("plain", change(SigmoidRouter, renormalize=False)),
    "scale of weights": ("plain", change(SigmoidRouter, scale=1.1)),
    "groups": ("eight experts", change(SigmoidRouter, groups=4, kept_groups=2)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "eps of q and k": ("plain", change("layers.*.attention.qk.0", norm=RMSNorm)),
    "all channels": ("half of the channels", change(RoPE, rotated=1.0)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json as it was published."""
    return ageing.old_config(data, kind) | {
        "attn_type_list": [1] * data["num_hidden_layers"],
        "layernorm_full_attention_beta": 1.0,
        "layernorm_linear_attention_beta": 1.0,
        "layernorm_mlp_beta": 1.0,
        "mlp_intermediate_size": 112,
        "mtp_transformer_layers": 1,
        "num_mtp_modules": 3,
        "qk_norm_type": "per_layer",
        "scoring_func": "sigmoid",
        "shared_intermediate_size": 0,
        "shared_moe_mode": "sigmoid",
        "sliding_window": None,
        "use_mtp": True,
        "use_qk_norm": True,
        "use_routing_bias": True,
    }


CASE = Case(
    config=MiniMaxM2Config,
    model=MiniMaxM2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    fused=True,
    older=older,
)
