"""UMT5: mT5 with a table of biases in every layer.

Chung et al., "UniMax", 2023, arXiv:2304.09151.
"""

from __future__ import annotations

from blocks.families import _t5 as common
from blocks.families.mt5 import spec
from blocks.hub.family import Family

FAMILY = Family(
    "umt5", ("UMT5ForConditionalGeneration",), spec, common.config, common.keys, ties=common.TIES
)
