"""T5, T5 v1.1, FLAN-T5 and ByT5: pre-norm layers with learnt biases for distances.

Raffel et al., 2019, arXiv:1910.10683; Shazeer, 2020, arXiv:2002.05202; Chung et al., "FLAN", 2022,
arXiv:2210.11416; Xue et al., "ByT5", 2021, arXiv:2105.13626.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _t5 as common
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    # Older files say by this flag alone whether logits are scaled; tensors say what is tied.
    tied = c.take("tie_word_embeddings", bool, True)
    return common.spec(c, scaled=c.take("scale_decoder_outputs", bool, tied))


FAMILY = Family(
    "t5", ("T5ForConditionalGeneration",), spec, common.config, common.keys, ties=common.ties
)
