"""BART: post-norm layers with learnt positions.

Lewis et al., 2019, arXiv:1910.13461.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _bart as common
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("Bart", *common.TASKS)


def spec(c: Config) -> Spec:
    return common.spec(c, SERVED, before=False, learned=True, normed=True)


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "Bart")


FAMILY = Family("bart", SERVED, spec, config, common.keys, ties=common.TIES)
