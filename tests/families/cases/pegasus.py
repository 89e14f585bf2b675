"""Pegasus."""

from __future__ import annotations

import dataclasses

from transformers import PegasusConfig, PegasusForConditionalGeneration

from tests.families.cases import bart

CASE = dataclasses.replace(
    bart.CASE,
    config=PegasusConfig,
    model=PegasusForConditionalGeneration,
    published={},
)
