"""AFMoE."""

from __future__ import annotations

from transformers import AfmoeConfig, AfmoeForCausalLM

from blocks import Causal, GatedMLP, GQAttention, OutputGate, QKNorm, RMSNorm, RoPE, Window
from tests.families.cases import dots1, hy_v3, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "head_dim": 8,
    "moe_intermediate_size": 12,
    "num_dense_layers": 1,
    "num_experts": 8,
    "num_shared_experts": 2,
    "num_experts_per_tok": 3,
    "route_scale": 1.7,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

VARIANTS = {
    "plain": Variant(),
    "experts in every layer": Variant({"num_dense_layers": 0, "num_shared_experts": 1}),
    "two dense layers": Variant({"num_dense_layers": 2}),
    "period": Variant({"layer_types": None, "global_attn_every_n_layers": 3}),
    "scaled": Variant({"mup_enabled": True}),
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | hy_v3.MIXTURE
    | {
        "fewer dense layers": ("two dense layers", dots1.fewer_dense),
        "no qk norm": ("plain", change("layers.0.attention", qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "rope in both": ("plain", change("layers.1.attention", qk=(RoPE,))),
        "no gate": ("plain", change(GQAttention, gate=None)),
        "gate's activation": ("plain", change(OutputGate, act="softplus")),
        "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
        "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
        "no windows": ("plain", change(GQAttention, mask=Causal())),
        "scale of the scaled": ("scaled", change("embedding", scale=1.0)),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "bias of the output": ("biases", change(GQAttention, out_bias=False)),
        "factor of yarn": ("yarn", rescale(factor=3.0)),
    }
)

CASE = Case(
    config=AfmoeConfig,
    model=AfmoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"moe_intermediate_size", "num_experts", "num_shared_experts"}),
    fused=True,
)
