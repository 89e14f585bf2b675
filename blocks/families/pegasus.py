"""Pegasus: pre-norm layers with waves for positions.

Zhang et al., 2019, arXiv:1912.08777.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _bart as common
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("Pegasus")


def spec(c: Config) -> Spec:
    shift = reading.read_shift(c, 0)
    return common.spec(c, SERVED, before=True, learned=False, normed=False, shift=shift)


def config(s: Spec) -> dict[str, Any]:
    return common.config(s, "Pegasus")


FAMILY = Family("pegasus", SERVED, spec, config, common.keys, ties=common.TIES)
