"""mBART: pre-norm layers with learnt positions.

Liu et al., 2020, arXiv:2001.08210; Tang et al., 2020, arXiv:2008.00401.
"""

from __future__ import annotations

from typing import Any

from blocks import ShiftRight, Spec
from blocks.families import _bart as common
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("MBart", *common.TASKS)


def spec(c: Config) -> Spec:
    return common.spec(c, SERVED, before=True, learned=True, normed=True, shift=ShiftRight())


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "MBart")


FAMILY = Family("mbart", SERVED, spec, config, common.keys, ties=common.TIES)
