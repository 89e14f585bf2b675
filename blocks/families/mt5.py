"""mT5: T5 v1.1 for 101 languages.

Xue et al., 2020, arXiv:2010.11934.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _t5 as common
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("scale_decoder_outputs", False)
    return common.spec(c, scaled=False, act="gated-gelu")


FAMILY = Family(
    "mt5", ("MT5ForConditionalGeneration",), spec, common.config, common.keys, ties=common.ties
)
