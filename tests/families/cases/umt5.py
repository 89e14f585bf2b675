"""UMT5."""

from __future__ import annotations

import dataclasses

from transformers import UMT5Config, UMT5ForConditionalGeneration

from tests.families.cases import mt5, t5
from tests.families.reference import Variant

# The reference scales the logits, which the model was not trained with.
UNSCALED = t5.BASE["d_model"] ** 0.5

CASE = dataclasses.replace(
    mt5.CASE,
    config=UMT5Config,
    model=UMT5ForConditionalGeneration,
    variants={"plain": Variant(answer=lambda output: output.logits * UNSCALED)}
    | t5.readers("UMT5"),
)
