"""OLMo 3."""

from __future__ import annotations

from transformers import Olmo3Config, Olmo3ForCausalLM

from blocks import Causal, GQAttention, RoPE, Window
from tests.families.cases import llama, olmo2
from tests.families.cases.gemma3_text import ropes
from tests.families.reference import Case, Variant, change

# The theta of all published files: with another one the reference reads the older dialect wrongly.
BASE = {name: value for name, value in olmo2.BASE.items() if name != "rope_theta"} | {
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": ropes(5e5, 5e5),
}
YARN = {name: value for name, value in llama.YARN.items() if name != "rope_theta"}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "five layers": Variant({"num_hidden_layers": 5, "layer_types": None}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": ropes(5e5, 5e5, **YARN)}),
    "yarn, another theta": Variant({"rope_parameters": ropes(500.0, 500.0, **YARN)}),
}

MUTATIONS = olmo2.MUTATIONS | {
    "factor of linear": ("yarn", change("layers.1.attention.qk.1", scaling=None)),
    "no rope": ("plain", change(GQAttention, qk=(RoPE,))),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "one window": ("five layers", change("layers.3.attention", mask=Window(7))),
}

CASE = Case(
    config=Olmo3Config,
    model=Olmo3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
