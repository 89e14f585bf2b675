"""mBART."""

from __future__ import annotations

import dataclasses

from transformers import MBartConfig, MBartForConditionalGeneration

from tests.families.cases import bart

# Its target begins with the last token that hasn't the id of padding, whatever the mask says.
BY_ID = "the reference takes any token with the id of padding for padding"

CASE = dataclasses.replace(
    bart.CASE,
    config=MBartConfig,
    model=MBartForConditionalGeneration,
    variants=bart.WRITING | bart.readers("MBart", padded=BY_ID),
    published={},
)
