"""Granite 4, with Mamba-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM

from blocks import GatedRMSNorm, Mamba2, MoE
from tests.families.ageing import old_config
from tests.families.cases import granite, granitemoe, llama
from tests.families.cases.bamba import UNTRIED
from tests.families.cases.mamba2 import CLAMPED
from tests.families.reference import Case, Variant, change, rescale

BASE = granitemoe.BASE | {
    "num_hidden_layers": 3,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "position_embedding_type": "rope",
    "shared_intermediate_size": 24,
    "mamba_n_heads": 8,
    "mamba_n_groups": 2,
    "mamba_d_state": 12,
    "mamba_chunk_size": 8,
}

FIRST = {"linear_attention": "mamba", "full_attention": "attention"}


def older(data: Mapping[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """The kinds of layers had other names."""
    return old_config(data, kind) | {"layer_types": [FIRST[one] for one in data["layer_types"]]}


VARIANTS = {
    "plain": Variant(),
    "no experts": Variant({"num_local_experts": 0}),
    "no positions": Variant({"position_embedding_type": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"attention_bias": True, "mamba_proj_bias": True}),
    "no bias of the convolution": Variant({"mamba_conv_bias": False}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "limits": Variant({"time_step_limit": (0.9, 1.4)}, generates=CLAMPED),
}

MUTATIONS = {name: it for name, it in granite.MUTATIONS.items() if name != "biases of the mlp"} | {
    "factor of linear": ("linear", rescale(factor=3.0)),
    "fewer chosen": ("plain", change(MoE, top_k=1)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "groups of the norm": ("plain", change(GatedRMSNorm, groups=1)),
    "biases of mixers": ("biases", change(Mamba2, bias=False)),
    "bias of the convolution": ("plain", change(Mamba2, conv_bias=False)),
    "no limits": ("limits", change(Mamba2, limits=(0.0, float("inf")))),
}

CASE = Case(
    config=GraniteMoeHybridConfig,
    model=GraniteMoeHybridForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    fused=True,
    older=older,
    huge={"mamba_n_heads": 2**41, "mamba_d_head": 64},
    untried=UNTRIED | {"layer_types", "shared_intermediate_size"},
    tolerance=5e-5,
)
