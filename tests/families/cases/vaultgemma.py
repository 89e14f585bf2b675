"""VaultGemma."""

from __future__ import annotations

from transformers import VaultGemmaConfig, VaultGemmaForCausalLM

from tests.families.cases import gemma2
from tests.families.reference import Case

CASE = Case(
    config=VaultGemmaConfig,
    model=VaultGemmaForCausalLM,
    base=gemma2.BASE,
    variants=gemma2.VARIANTS,
    mutations={name: it for name, it in gemma2.MUTATIONS.items() if not name.startswith("norm of")},
    published={},
    fields=gemma2.CASE.fields,
)
