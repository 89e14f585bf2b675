"""Ministral 3."""

from __future__ import annotations

from typing import Any

from transformers import Ministral3Config, Ministral3ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, QueryScale, RMSNorm, RoPE, Window
from tests.families.ageing import old_config
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

SCALED = llama.YARN | {"llama_4_scaling_beta": 0.4}
BASE = {name: value for name, value in llama.BASE.items() if name != "rope_theta"} | {
    "head_dim": 8,
    "rope_parameters": SCALED,
}


def unstretched(beta: float) -> dict[str, object]:
    return llama.rope("default", llama_4_scaling_beta=beta, original_max_position_embeddings=11)


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """Null would mean YaRN, and what scales the queries stands beside the type."""
    scaling = dict(data["rope_parameters"])
    scaling[kind] = scaling.pop("rope_type")
    theta = scaling.pop("rope_theta")
    rest = {name: value for name, value in data.items() if name != "rope_parameters"}
    return old_config(rest) | {"rope_theta": theta, "rope_scaling": scaling}


VARIANTS = {
    "plain": Variant(),
    "not stretched": Variant(unstretched(0.4)),
    "not scaled": Variant(unstretched(0.0)),
    "window": Variant({"sliding_window": 7}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "mscale": Variant({"rope_parameters": SCALED | {"mscale": 1.0, "mscale_all_dim": 1.0}}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "growth": ("plain", change(QueryScale, growth=0.5)),
    "trained": ("plain", change(QueryScale, trained=15)),
    "not scaled": ("plain", change(GQAttention, qk=(RoPE,))),
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "no window": ("window", change(GQAttention, mask=Causal())),
    "factor of yarn": ("plain", rescale(factor=3.0)),
    "mscale of yarn": ("mscale", rescale(magnitude=None)),
}

CASE = Case(
    config=Ministral3Config,
    model=Ministral3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    older=older,
)
