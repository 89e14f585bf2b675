"""mT5."""

from __future__ import annotations

import dataclasses

from transformers import MT5Config, MT5ForConditionalGeneration

from blocks import GatedMLP
from tests.families.cases import t5
from tests.families.reference import Variant, change

GATED = {"activation": ("plain", change(GatedMLP, act="relu2"))}

CASE = dataclasses.replace(
    t5.CASE,
    config=MT5Config,
    model=MT5ForConditionalGeneration,
    variants={"plain": Variant(), "relu": Variant({"feed_forward_proj": "relu"})}
    | t5.readers("MT5"),
    mutations=t5.MUTATIONS | GATED,
    published={},
)
