"""EXAONE 4."""

from __future__ import annotations

from transformers import Exaone4Config, Exaone4ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, QKNorm, RMSNorm, RoPE, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "sliding_window": 7,
    "sliding_window_pattern": "LG",
    "layer_types": ["sliding_attention", "full_attention"],
}

VARIANTS = {
    "plain": Variant(),
    "five layers": Variant(
        {"num_hidden_layers": 5, "layer_types": None, "sliding_window_pattern": 4}
    ),
    "no window": Variant({"layer_types": ["full_attention"] * 2, "sliding_window": None}),
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
    "norm of what the mlp finds": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "factor of llama3": ("llama3", rescale(factor=6.0)),
}

CASE = Case(
    config=Exaone4Config,
    model=Exaone4ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
