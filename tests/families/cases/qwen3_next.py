"""Qwen3-Next."""

from __future__ import annotations

from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

from blocks import (
    GatedDeltaNet,
    GatedMLP,
    GatedRMSNorm,
    GQAttention,
    MoE,
    OutputGate,
    QKNorm,
    RMSNorm,
    RoPE,
    SoftmaxRouter,
    replace,
)
from tests.families.cases import llama, qwen3_moe
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 6,
    "linear_conv_kernel_dim": 4,
}
BASE = (
    qwen3_moe.BASE
    | LINEAR
    | {"num_hidden_layers": 4, "shared_expert_intermediate_size": 40, "partial_rotary_factor": 0.5}
)

TWO = {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]}

VARIANTS = {
    "plain": Variant(),
    "several chunks": Variant(
        TWO | {"max_position_embeddings": 256}, reads=lambda tokens: tokens.repeat(1, 4)
    ),
    "in turns": Variant({"layer_types": ["full_attention", "linear_attention"] * 2}),
    "attention alone": Variant(TWO | {"layer_types": ["full_attention"] * 2}),
    "as many heads": Variant(TWO | {"linear_num_value_heads": 2, "linear_conv_kernel_dim": 2}),
    "as they are": Variant(TWO | {"norm_topk_prob": False}),
    "eight experts": Variant(TWO | {"num_experts": 8, "num_experts_per_tok": 3}),
    "first layer dense": Variant(TWO | {"mlp_only_layers": [0]}),
    "biases": Variant(TWO | {"attention_bias": True}),
    "relu": Variant(TWO | {"hidden_act": "relu"}),
    "tied": Variant(TWO | {"tie_word_embeddings": True}),
    "yarn": Variant(TWO | {"rope_parameters": llama.YARN | {"partial_rotary_factor": 0.5}}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "depth": ("plain", lambda spec: replace(spec, layers=spec.keywords["layers"][1:])),
    "share of turned channels": ("plain", change(RoPE, rotated=0.25)),
    "offset of norms": ("plain", change(RMSNorm, offset=0.0)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "no gate": ("plain", change(GQAttention, gate=None)),
    "gate's activation": ("plain", change(OutputGate, act="softplus")),
    "bias of the gate": ("biases", change(OutputGate, bias=False)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "strength": ("plain", change(GatedDeltaNet, strength=2.0)),
    "activation after the convolution": ("relu", change(GatedDeltaNet, act="silu")),
    "norm of what is read": ("plain", change(GatedRMSNorm, eps=0.5)),
    "gate before the norm": ("plain", change(GatedRMSNorm, gate_first=True)),
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "weights renormalised": ("as they are", change(SoftmaxRouter, renormalize=True)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no gate of the shared expert": ("plain", change(MoE, shared_gate=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=Qwen3NextConfig,
    model=Qwen3NextForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=qwen3_moe.SIZES | LINEAR.keys() | {"layer_types", "shared_expert_intermediate_size"},
    fused=True,
    tolerance=5e-5,
    fields={"intermediate_size": "moe_intermediate_size"},
)
