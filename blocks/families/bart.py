"""BART: post-norm layers with learnt positions.

Lewis et al., 2019, arXiv:1910.13461.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _bart as common
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return common.spec(c, before=False, learned=True, normed=True)


FAMILY = Family(
    "bart", ("BartForConditionalGeneration",), spec, common.config, common.keys, ties=common.TIES
)
