"""mBART: pre-norm layers with learnt positions.

Liu et al., 2020, arXiv:2001.08210; Tang et al., 2020, arXiv:2008.00401.
"""

from __future__ import annotations

from blocks import Spec
from blocks.families import _bart as common
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    return common.spec(c, before=True, learned=True, normed=True)


FAMILY = Family(
    "mbart", ("MBartForConditionalGeneration",), spec, common.config, common.keys, ties=common.TIES
)
