"""Qwen3.5's text models."""

from __future__ import annotations

from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

from tests.families.cases import llama, qwen3_next
from tests.families.reference import Case, Variant

OWN = qwen3_next.LINEAR | {"num_hidden_layers": 4, "head_dim": 8, "partial_rotary_factor": 0.5}
BASE = llama.BASE | OWN

VARIANTS = {
    name: variant
    for name, variant in qwen3_next.VARIANTS.items()
    if name not in ("as they are", "eight experts", "first layer dense", "attention alone")
}
SECTIONS = {"mrope_section": [1, 1, 0], "mrope_interleaved": True}  # of images alone
VARIANTS["sections"] = Variant(
    qwen3_next.TWO | llama.rope("default", partial_rotary_factor=0.5, **SECTIONS)
)
OF_EXPERTS = {
    "weights not renormalised",
    "weights renormalised",
    "fewer chosen",
    "no gate of the shared expert",
}
MUTATIONS = {
    name: mutation for name, mutation in qwen3_next.MUTATIONS.items() if name not in OF_EXPERTS
}

CASE = Case(
    config=Qwen3_5TextConfig,
    model=Qwen3_5ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=qwen3_next.CASE.untried,
    tolerance=5e-5,
)
