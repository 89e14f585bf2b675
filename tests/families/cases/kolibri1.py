"""Kolibri 1."""

from __future__ import annotations

from transformers import Kolibri1Config, Kolibri1ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SigmoidRouter, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "intermediate_size"} | {
    "head_dim": 8,
    "moe_intermediate_size": 12,
    "shared_expert_intermediate_size": 20,
    "num_experts": 8,
    "num_experts_per_tok": 3,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention"],
}

VARIANTS = {
    "plain": Variant(),
    "renormalised": Variant({"norm_topk_prob": True}),
    "four experts": Variant({"num_experts": 4, "num_experts_per_tok": 2}),
    "six layers": Variant({"num_hidden_layers": 6, "layer_types": None}),
    "no positions": Variant({"layer_types": ["full_attention"] * 2}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "llama3": Variant({"rope_parameters": llama.LLAMA3}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no qk norm": ("plain", change("layers.0.attention", qk=(RoPE,))),
    "qk norm over all": ("plain", change(QKNorm, over="all")),
    "rope in both": ("no positions", change(GQAttention, qk=(RoPE,))),
    "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
    "norm of what the experts find": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "chosen by scores": ("plain", change(SigmoidRouter, by="score")),
    "weights renormalised": ("plain", change(SigmoidRouter, renormalize=True)),
    "fewer chosen": ("plain", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "factor of llama3": ("llama3", rescale(factor=6.0)),
}

CASE = Case(
    config=Kolibri1Config,
    model=Kolibri1ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "num_experts", "shared_expert_intermediate_size"}),
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
)
