"""UMT5: mT5 with a table of biases in every layer.

Chung et al., "UniMax", 2023, arXiv:2304.09151.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _reading as reading
from blocks.families import _t5 as common
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("UMT5", *common.TASKS)


def spec(c: Config) -> Spec:
    return common.newer(c, SERVED)


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "UMT5")


FAMILY = Family("umt5", SERVED, spec, config, common.keys, ties=common.ties)
