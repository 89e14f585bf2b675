"""Beam."""

from __future__ import annotations

from transformers import BeamConfig, BeamForCausalLM

from blocks import (
    Causal,
    GatedMLP,
    GQAttention,
    LMHead,
    OutputGate,
    QKNorm,
    QueryScale,
    Residual,
    RMSNorm,
    RoPE,
    Window,
)
from tests.families.cases import dots1, hy_v3, mellum
from tests.families.reference import Case, Variant, change, decoder_mutations

ROPE = {"rope_type": "default", "rope_theta": 500.0}


def places(sliding: object, full: object = None) -> dict[str, object]:
    return {"rope_parameters": {"sliding_attention": sliding, "full_attention": full}}


DROPPED = {"rope_theta", "num_shared_experts", "router_scaling_factor"}
BASE = {name: value for name, value in hy_v3.BASE.items() if name not in DROPPED} | {
    "routed_scaling_factor": 1.7,
    "n_group": 1,
    "topk_group": 1,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "mlp_layer_types": ["dense", "sparse", "sparse"],
    **places(ROPE),
}

VARIANTS = {
    "plain": Variant(),
    **dots1.ROUTING,
    "two dense layers": Variant({"mlp_layer_types": ["dense", "dense", "sparse"]}),
    "seven layers": Variant({"num_hidden_layers": 7, "layer_types": None, "mlp_layer_types": None}),
    "turned everywhere": Variant(places(ROPE, ROPE)),
    "as it comes": Variant({"rope_parameters": None, "final_logit_softcapping": None}),
    "biases": Variant({"attention_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant(places(ROPE | mellum.YARN)),
}
MIXTURE = {name: it for name, it in dots1.MIXTURE.items() if name != "no shared expert"}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | MIXTURE
    | dots1.GROUPS
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "no qk norm": ("plain", change("layers.0.attention", qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "no scale of far queries": ("plain", change(QueryScale, growth=1e-6)),
        "scale by a logarithm": ("plain", change(QueryScale, by="log")),
        "no gate": ("plain", change(GQAttention, gate=None)),
        "gate's bias": ("plain", change(OutputGate, head_bias=False)),
        "cap": ("plain", change(LMHead, cap=20.0)),
        "what passes by": ("plain", change(Residual, carry=1.0)),
        "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
        "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
        "no windows": ("plain", change(GQAttention, mask=Causal())),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "bias of the output": ("biases", change(GQAttention, out_bias=False)),
        "no yarn": ("yarn", change("layers.0.attention.qk.1", scaling=None)),
    }
)

CASE = Case(
    config=BeamConfig,
    model=BeamForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "num_experts"}),
    fused=True,
    older=mellum.older,
)
