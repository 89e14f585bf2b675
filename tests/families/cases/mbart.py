"""mBART."""

from __future__ import annotations

import dataclasses

from transformers import MBartConfig, MBartForConditionalGeneration

from tests.families.cases import bart

CASE = dataclasses.replace(
    bart.CASE,
    config=MBartConfig,
    model=MBartForConditionalGeneration,
    published={},
)
