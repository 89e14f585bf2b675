"""Flint."""

from __future__ import annotations

from transformers import FlintConfig, FlintForCausalLM

from blocks import Causal, GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SigmoidRouter, Window
from tests.families.cases import llama, qwen3_moe
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = qwen3_moe.BASE | {
    "num_hidden_layers": 3,
    "shared_expert_intermediate_size": 40,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "mlp_only_layers": [1],
}

VARIANTS = {
    "plain": Variant(),
    "as they are": Variant({"norm_topk_prob": False}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "seven layers": Variant({"num_hidden_layers": 7, "layer_types": None, "mlp_only_layers": None}),
    "biases": Variant({"attention_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "weights not renormalised": ("plain", change(SigmoidRouter, renormalize=False)),
    "weights renormalised": ("as they are", change(SigmoidRouter, renormalize=True)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "no qk norm": ("plain", change("layers.0.attention", qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "rope in both": ("plain", change("layers.1.attention", qk=(RoPE,))),
    "no sinks": ("plain", change(GQAttention, sinks=False)),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

CASE = Case(
    config=FlintConfig,
    model=FlintForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=qwen3_moe.SIZES | {"shared_expert_intermediate_size"},
    fused=True,
    fields=qwen3_moe.CASE.fields,
)
