"""CamemBERT."""

from __future__ import annotations

import dataclasses

from transformers import CamembertConfig, CamembertForMaskedLM

from tests.families.cases import bert, roberta

CASE = dataclasses.replace(
    roberta.CASE,
    config=CamembertConfig,
    model=CamembertForMaskedLM,
    variants=roberta.VARIANTS | bert.heads("Camembert"),
    published={},
)
