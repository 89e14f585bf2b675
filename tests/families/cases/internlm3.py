"""InternLM 3."""

from __future__ import annotations

from transformers import InternLM3Config, LlamaForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"head_dim": 8}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "dynamic": llama.VARIANTS["dynamic"],
}


MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "factor of dynamic": ("dynamic", rescale(factor=3.0)),
}

CASE = Case(
    config=InternLM3Config,
    model=LlamaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
