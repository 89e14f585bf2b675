"""Granite Swash."""

from __future__ import annotations

from transformers import GraniteSWAConfig, GraniteSWAForCausalLM

from blocks import Causal, GQAttention, Window
from tests.families.cases import granite
from tests.families.reference import Case, Variant, change

WINDOWS = {
    "sliding_window": 7,
    "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
    "layer_rope_theta": [0.0, 500.0, 100.0],
    "num_hidden_layers": 3,
}

VARIANTS = granite.VARIANTS | {
    "five layers": Variant(
        {"num_hidden_layers": 5, "layer_types": None, "layer_rope_theta": None},
    ),
    "no window": Variant({"layer_types": ["full_attention"] * 3}),
    "no positions": Variant({"layer_rope_theta": [0.0] * 3}),
}

WINDOW_MUTATIONS = {
    "no sinks": ("plain", change(GQAttention, sinks=False)),
    "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "one theta": ("plain", change("layers.2.attention.qk.0", theta=500.0)),
}

CASE = Case(
    config=GraniteSWAConfig,
    model=GraniteSWAForCausalLM,
    base=granite.BASE | WINDOWS | {"tie_word_embeddings": False},
    variants=VARIANTS,
    mutations=granite.MUTATIONS | WINDOW_MUTATIONS,
    published={},
    tied=True,
)
