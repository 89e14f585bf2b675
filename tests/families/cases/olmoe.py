"""OLMoE."""

from __future__ import annotations

from transformers import OlmoeConfig, OlmoeForCausalLM

from blocks import Clip, GatedMLP, GQAttention, MoE, RMSNorm, RoPE, SoftmaxRouter
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"num_experts": 4, "num_experts_per_tok": 2}

VARIANTS = {
    "plain": Variant(),
    "renormalised": Variant({"norm_topk_prob": True}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "clipped": Variant({"clip_qkv": 0.8}),
    "biases": Variant({"attention_bias": True}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "weights renormalised": ("plain", change(SoftmaxRouter, renormalize=True)),
    "weights not renormalised": ("renormalised", change(SoftmaxRouter, renormalize=False)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "eps of qk norm": ("plain", change("layers.*.attention.qk.0.*", eps=0.06)),
    "cap": ("clipped", change(Clip, cap=0.7)),
    "values not clipped": ("clipped", change(GQAttention, values=None)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=OlmoeConfig,
    model=OlmoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"num_experts"}),
    fused=True,
)
