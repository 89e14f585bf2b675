"""Pegasus: pre-norm layers with waves for positions.

Zhang et al., 2019, arXiv:1912.08777.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _bart as common
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return common.spec(c, before=True, learned=False, normed=False)


FAMILY = Family(
    "pegasus",
    ("PegasusForConditionalGeneration",),
    spec,
    common.config,
    common.keys,
    ties=common.TIES,
)
