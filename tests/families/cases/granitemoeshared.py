"""Granite 3's mixtures with a shared expert."""

from __future__ import annotations

from transformers import GraniteMoeSharedConfig, GraniteMoeSharedForCausalLM

from blocks import MoE
from tests.families.cases import granitemoe
from tests.families.reference import Case, Variant, change

SHARED = {"shared_intermediate_size": 24}
VARIANTS = {name: Variant(SHARED | it.options) for name, it in granitemoe.VARIANTS.items()} | {
    "none shared": Variant({"shared_intermediate_size": 0}),
}

CASE = Case(
    config=GraniteMoeSharedConfig,
    model=GraniteMoeSharedForCausalLM,
    base=granitemoe.BASE,
    variants=VARIANTS,
    mutations=granitemoe.MUTATIONS | {"no shared expert": ("plain", change(MoE, shared=None))},
    published={},
    fused=True,
)
