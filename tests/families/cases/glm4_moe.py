"""GLM-4.5 to 4.7."""

from __future__ import annotations

from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

from blocks import GatedMLP, GQAttention, QKNorm, RMSNorm, RoPE
from tests.families.cases import dots1, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = dots1.BASE
VARIANTS = {
    "plain": Variant(),
    **dots1.ROUTING,
    **dots1.DENSE,
    "qk norm": Variant({"use_qk_norm": True}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 12, "num_key_value_heads": 1}),
    "all channels": Variant({"partial_rotary_factor": 1.0}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN | {"partial_rotary_factor": 0.5}}),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | dots1.MIXTURE
    | dots1.GROUPS
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "no qk norm": ("qk norm", change(GQAttention, qk=(RoPE,))),
        "qk norm over all": ("qk norm", change(QKNorm, over="all")),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "factor of yarn": ("yarn", rescale(factor=3.0)),
    }
)

CASE = Case(
    config=Glm4MoeConfig,
    model=Glm4MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=dots1.SIZES,
    fused=True,
)
