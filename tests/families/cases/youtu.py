"""Youtu-LLM."""

from __future__ import annotations

from transformers import YoutuConfig, YoutuForCausalLM

from tests.families.cases import deepseek_v2, llama
from tests.families.reference import Case, Variant

EXPERTS = {"moe_intermediate_size", "n_routed_experts", "n_shared_experts", "num_experts_per_tok"}
EXPERTS |= {"first_k_dense_replace"}
BASE = {name: value for name, value in deepseek_v2.BASE.items() if name not in EXPERTS} | {
    "tie_word_embeddings": False
}

VARIANTS = {
    "plain": Variant(),
    "no query latent": Variant({"q_lora_rank": None}),
    "biases": Variant({"attention_bias": True}),
    "halves": Variant({"rope_interleave": False}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "yarn": Variant({"rope_parameters": deepseek_v2.YARN}),
    "yarn mscale": deepseek_v2.VARIANTS["yarn mscale"],
    "yarn mscale of scores": deepseek_v2.VARIANTS["yarn mscale of scores"],
}

CASE = Case(
    config=YoutuConfig,
    model=YoutuForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=deepseek_v2.LATENT_MUTATIONS,
    published={},
    untried=deepseek_v2.SIZES | {"num_key_value_heads"},
    fields=deepseek_v2.FIELDS,
    tied=True,
)
