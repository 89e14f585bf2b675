"""XLM-RoBERTa."""

from __future__ import annotations

import dataclasses

from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from tests.families.cases import bert, roberta

CASE = dataclasses.replace(
    roberta.CASE,
    config=XLMRobertaConfig,
    model=XLMRobertaForMaskedLM,
    variants=roberta.VARIANTS | bert.heads("XLMRoberta"),
    published={},
)
