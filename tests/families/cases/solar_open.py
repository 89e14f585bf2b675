"""Solar Open."""

from __future__ import annotations

from transformers import SolarOpenConfig, SolarOpenForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm
from tests.families.cases import dots1, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: it for name, it in dots1.BASE.items() if name != "first_k_dense_replace"} | {
    "head_dim": 8
}
VARIANTS = {
    "plain": Variant(),
    **dots1.ROUTING,
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 12, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True, "num_hidden_layers": 2}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | dots1.MIXTURE
    | dots1.GROUPS
    | {
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "factor of yarn": ("yarn", rescale(factor=3.0)),
    }
)

CASE = Case(
    config=SolarOpenConfig,
    model=SolarOpenForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=dots1.SIZES | {"first_k_dense_replace", "partial_rotary_factor", "use_qk_norm"},
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
)
