"""Pegasus."""

from __future__ import annotations

import dataclasses

from transformers import PegasusConfig, PegasusForConditionalGeneration

from tests.families.cases import bart

CASE = dataclasses.replace(
    bart.CASE,
    config=PegasusConfig,
    model=PegasusForConditionalGeneration,
    variants=bart.WRITING | bart.bare("Pegasus", 2),
    mutations=bart.MUTATIONS,
    published={},
)
