"""mT5: T5 v1.1 for 101 languages.

Xue et al., 2020, arXiv:2010.11934.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _reading as reading
from blocks.families import _t5 as common
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("MT5", *common.TASKS)


def spec(c: Config) -> Spec:
    return common.newer(c, SERVED)


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "MT5")


FAMILY = Family("mt5", SERVED, spec, config, common.keys, ties=common.ties)
