"""T5, T5 v1.1, FLAN-T5 and ByT5: pre-norm layers with learnt biases for distances.

Raffel et al., 2019, arXiv:1910.10683; Shazeer, 2020, arXiv:2002.05202; Chung et al., "FLAN", 2022,
arXiv:2210.11416; Xue et al., "ByT5", 2021, arXiv:2105.13626.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _reading as reading
from blocks.families import _t5 as common
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = (*reading.architectures("T5", *common.TASKS), "T5WithLMHeadModel")


def spec(c: Config) -> Spec:
    # Older files say by this flag alone whether logits are scaled; tensors say what is tied.
    tied = c.take("tie_word_embeddings", bool, True)
    scaled = c.take("scale_decoder_outputs", bool, tied)
    return common.spec(c, SERVED, scaled=scaled, start=None)


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "T5")


FAMILY = Family("t5", SERVED, spec, config, common.keys, ties=common.ties)
