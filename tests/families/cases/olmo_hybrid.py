"""OLMo Hybrid."""

from __future__ import annotations

from transformers import OlmoHybridConfig, OlmoHybridForCausalLM

from blocks import (
    GatedDeltaNet,
    GatedMLP,
    GatedRMSNorm,
    GQAttention,
    QKNorm,
    RMSNorm,
    RoPE,
    replace,
)
from tests.families.cases import llama, mellum
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

# As wide keys as values: others' convolutions the reference cuts at wrong places when it saves.
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
BASE = llama.BASE | LINEAR | {"num_hidden_layers": 4}
NOWHERE = {"rope_parameters": {"rope_type": "default", "rope_theta": None}}

VARIANTS = {
    "plain": Variant(),
    "in turns": Variant({"layer_types": ["full_attention", "linear_attention"] * 2}),
    "no positions": Variant(NOWHERE),
    "β to 1": Variant({"linear_allow_neg_eigval": False}),
    "biases": Variant({"attention_bias": True}),
    "relu": Variant({"hidden_act": "relu"}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "depth": ("plain", lambda spec: replace(spec, layers=spec.keywords["layers"][1:])),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm of each head": ("plain", change(QKNorm, over="head")),
    "positions": ("no positions", change(GQAttention, qk=(RoPE,))),
    "strength": ("plain", change(GatedDeltaNet, strength=1.0)),
    "strength of 1": ("β to 1", change(GatedDeltaNet, strength=2.0)),
    "activation after the convolution": ("relu", change(GatedDeltaNet, act="silu")),
    "norm of what is read": ("plain", change(GatedRMSNorm, eps=0.5)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=OlmoHybridConfig,
    model=OlmoHybridForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({*LINEAR, "layer_types"}),
    older=mellum.older,
    tolerance=5e-5,
)
