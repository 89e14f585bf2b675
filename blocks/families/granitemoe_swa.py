"""Granite Swash's mixtures: Granite 3's experts with sinks, windows, and positions in some layers.

IBM, "Granite Swash", 2026; the sinks: Xiao et al., 2023, arXiv:2309.17453.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _decoder as common
from blocks.families import granitemoe, granitemoeshared
from blocks.families._granite import SINK_KEYS, read_windows, write_windows
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    return read_windows(c, granitemoeshared.spec(c))


def config(s: Spec) -> dict[str, Any]:
    return granitemoeshared.config(s) | write_windows(s)


_PARTS = (*common.DECODER_KEYS, *SINK_KEYS, *granitemoe.NEWER, *granitemoeshared.SHARED)
KEYS = Keys(*_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("granitemoe_swa", ("GraniteMoeSWAForCausalLM",), spec, config, KEYS)
