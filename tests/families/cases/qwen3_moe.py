"""Qwen3-MoE."""

from __future__ import annotations

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from blocks import GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SoftmaxRouter, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "head_dim": 8,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
}

VARIANTS = {
    "plain": Variant(),
    "renormalised": Variant({"norm_topk_prob": True}),
    "eight experts": Variant({"num_experts": 8, "num_experts_per_tok": 3}),
    "first layer dense": Variant({"mlp_only_layers": [0]}),
    "every second layer": Variant({"num_hidden_layers": 3, "decoder_sparse_step": 2}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "window": Variant({"use_sliding_window": True, "sliding_window": 7}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "weights renormalised": ("plain", change(SoftmaxRouter, renormalize=True)),
    "weights not renormalised": ("renormalised", change(SoftmaxRouter, renormalize=False)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
}

SIZES = frozenset(
    {
        "decoder_sparse_step",
        "intermediate_size",
        "mlp_only_layers",
        "moe_intermediate_size",
        "num_experts",
    }
)

CASE = Case(
    config=Qwen3MoeConfig,
    model=Qwen3MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=SIZES,
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
)
