"""Granite Swash's mixtures."""

from __future__ import annotations

from transformers import GraniteMoeSWAConfig, GraniteMoeSWAForCausalLM

from tests.families.cases import granite_swa, granitemoeshared
from tests.families.reference import Case

VARIANTS = {name: it for name, it in granite_swa.VARIANTS.items() if name != "biases"}

CASE = Case(
    config=GraniteMoeSWAConfig,
    model=GraniteMoeSWAForCausalLM,
    base=granitemoeshared.CASE.base | granitemoeshared.SHARED | granite_swa.WINDOWS,
    variants=VARIANTS | granitemoeshared.VARIANTS,
    mutations=granitemoeshared.CASE.mutations | granite_swa.WINDOW_MUTATIONS,
    published={},
    fused=True,
)
